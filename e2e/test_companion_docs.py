"""What the documentation of mesclun-app says is what the program says."""

from __future__ import annotations

import pathlib
import re

import pytest

from cloud import REPOSITORY
from companion import run

DOCS = REPOSITORY / "docs/applications"


def settings() -> dict[str, str]:
    """Default by environment variable."""
    found = re.findall(r"^  \w+  .*  default (.*)\n +\$(MESCLUN_APP_\w+)$", run("settings").stdout, re.MULTILINE)
    assert len(found) > 80
    return {name: default for default, name in found}


def test_the_reference_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \| [^|]+ \| `(.*?)` \|", (DOCS / "companion.md").read_text(), re.MULTILINE)
    documented = {"MESCLUN_APP_" + name.upper().replace(".", "_"): default for name, default in rows}
    assert documented == settings()


def examples() -> list[str]:
    text = (DOCS / "wrap-your-application.md").read_text()
    found = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [example for example in found if "probe" not in example]


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.split("\n")[0][:40])
def test_examples_of_settings_have_no_mistakes(tmp_path: pathlib.Path, example: str) -> None:
    """What an example leaves out stands in the page's first one."""
    (tmp_path / "example.yaml").write_text(example)
    left_out = {"MESCLUN_APP_APPLICATION_ADDRESS": "127.0.0.1:8001", "MESCLUN_APP_FRONT_LISTEN": ":8000",
                "MESCLUN_APP_CHECKS_BUCKET_ACCESS_KEY_ID": "id", "MESCLUN_APP_CHECKS_BUCKET_SECRET_ACCESS_KEY": "key"}
    done = run("check-config", str(tmp_path / "example.yaml"), env=left_out)
    assert done.returncode == 0, done

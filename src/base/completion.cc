#include "base/completion.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/command_line.h"

namespace mesclun {

namespace {

// {0} program, {1} commands, {2} the flag that asks for words.
constexpr std::string_view kBash = R"sh(_{0}_complete() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words
  if ((COMP_CWORD == 1)); then
    words='{1}'
  else
    words=$({0} "${{COMP_WORDS[@]:1:COMP_CWORD-1}}" {2} 2>/dev/null)
  fi
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _{0}_complete {0}
)sh";

constexpr std::string_view kZsh = R"sh(_{0}_complete() {{
  local -a found
  if ((CURRENT == 2)); then
    found=({1})
  else
    found=(${{(f)"$({0} ${{words[2,CURRENT-1]}} {2} 2>/dev/null)"}})
  fi
  compadd -a found || _files
}}
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit; }}
compdef _{0}_complete {0}
)sh";

constexpr std::string_view kFish = R"sh(function __{0}_words
  set -l given (commandline -opc)
  if test (count $given) -le 1
    string split ' ' '{1}'
  else
    {0} $given[2..-1] {2} 2>/dev/null
  end
end
complete -c {0} -a '(__{0}_words)'
)sh";

}  // namespace

std::string completion_script(Shell shell, const std::string& program,
                              const std::vector<std::string>& commands) {
  const std::string_view form = shell == Shell::Bash ? kBash : shell == Shell::Zsh ? kZsh : kFish;
  return fmt::format(fmt::runtime(form), program, fmt::join(commands, " "),
                     CommandLine::kWordsFlag);
}

}  // namespace mesclun

#include "api/names.h"

namespace mesclun::api {

namespace {

constexpr std::string_view kCountryCodes =
    "ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bl bm bn bo bq "
    "br bs bt bv bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm "
    "do dz ec ee eg eh er es et fi fj fk fm fo fr ga gb gd ge gf gg gh gi gl gm gn gp gq gr gs "
    "gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km kn "
    "kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mf mg mh mk ml mm mn mo mp mq "
    "mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm "
    "pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si sj sk sl sm sn so sr ss st sv "
    "sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug um us uy uz va vc ve vg vi "
    "vn vu wf ws ye yt za zm zw";

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.size() < 2 || text.size() > 63 || !is_lower(text.front()) || text.back() == '-') {
    return false;
  }
  for (char c : text) {
    if (!is_lower(c) && !is_digit(c) && c != '-') return false;
  }
  return true;
}

bool is_display_name(std::string_view text) {
  if (text.size() < 2 || text.size() > 63) return false;
  for (char c : text) {
    // In the contract's pattern "[ ,-.0-9A-Za-z]" the part ",-." is a range: comma, hyphen, full
    // stop.
    if (!is_lower(c) && !is_upper(c) && !is_digit(c) && c != ' ' && !(c >= ',' && c <= '.')) {
      return false;
    }
  }
  return true;
}

bool is_country_code(std::string_view text) {
  if (text.size() != 2 || !is_lower(text[0]) || !is_lower(text[1])) return false;
  for (size_t at = 0; at + 1 < kCountryCodes.size(); at += 3) {
    if (kCountryCodes.substr(at, 2) == text) return true;
  }
  return false;
}

}  // namespace mesclun::api

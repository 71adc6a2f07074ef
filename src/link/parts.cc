#include "link/parts.h"

namespace mesclun::link {

namespace {

// A control character is six bytes in JSON.
constexpr size_t kBytesOfChar = 6;
constexpr size_t kBytesOfNumber = 21;  // the longest int64, and a comma

template <class T>
size_t json_bytes_max(const T& in) {
  if constexpr (detail::kIsOptional<T>) {
    return in ? json_bytes_max(*in) : 5;
  } else if constexpr (detail::kIsVector<T>) {
    size_t sum = 3;
    for (const auto& item : in) sum += json_bytes_max(item);
    return sum;
  } else if constexpr (std::is_same_v<T, std::string>) {
    return kBytesOfChar * in.size() + 3;
  } else if constexpr (std::is_enum_v<T>) {
    return enum_name(in).size() + 3;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return kBytesOfNumber;
  } else {
    size_t sum = 3;
    using Members = boost::describe::describe_members<T, boost::describe::mod_any_access>;
    boost::mp11::mp_for_each<Members>([&](auto member) {
      sum += std::string_view(member.name).size() + 3 + json_bytes_max(in.*member.pointer);
    });
    return sum;
  }
}

}  // namespace

size_t weight_of(const Assignment& element) {
  return json_bytes_max(element);
}
size_t weight_of(const InstanceReport& element) {
  return json_bytes_max(element);
}
size_t weight_of(const InstanceEvent& element) {
  return json_bytes_max(element);
}
size_t weight_of(const SpecName& element) {
  return json_bytes_max(element);
}
size_t weight_of(const InstanceUsage& element) {
  return json_bytes_max(element);
}
size_t weight_of(const Route& element) {
  return json_bytes_max(element);
}
size_t weight_of(const RouteKey& element) {
  return json_bytes_max(element);
}
size_t weight_of(const std::string& element) {
  return json_bytes_max(element);
}

}  // namespace mesclun::link

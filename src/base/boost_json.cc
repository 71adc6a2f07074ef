// The compiled part of Boost.JSON: Debian ships none.
#include <boost/json/src.hpp>

# Flags of our own code only: system and third-party headers are not ours to warn about.
add_library(mesclun_flags INTERFACE)
target_compile_options(mesclun_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${MESCLUN_WERROR}>:-Werror>
  $<$<CXX_COMPILER_ID:Clang>:-Wno-missing-designated-field-initializers>
  # ccache can only reuse a precompiled header without a time stamp in it.
  $<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>)
target_compile_definitions(mesclun_flags INTERFACE
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_JSON_NO_LIB BOOST_URL_NO_LIB)
target_include_directories(mesclun_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(mesclun_flags INTERFACE Boost::headers Threads::Threads)

if(MESCLUN_SANITIZE)
  add_compile_options(-fsanitize=${MESCLUN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${MESCLUN_SANITIZE})
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_link_options(-fuse-ld=lld)
endif()

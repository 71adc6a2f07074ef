# mesclun_module(NAME base
#   SOURCES a.cc ...      the static library mesclun_<name>
#   DEPS base api ...     our modules that it may include; equal to the folder table in src/README.md
#   LIBS fmt::fmt ...     third-party libraries
#   TESTS a_test.cc ...   the program <name>_test, run by ctest
#   TEST_DEPS sim ...     modules that only the tests need
#   BENCHES a_bench.cc    the program <name>_bench, run by `make bench`
#   FUZZ a_fuzz.cc)       one libFuzzer program each, with -DMESCLUN_FUZZ=ON
#
# A second program, <name>_link_test, links the whole library against nothing but its DEPS: it fails to link when
# a folder uses a symbol of a folder that its row does not allow.
function(mesclun_module)
  cmake_parse_arguments(M "" "NAME" "SOURCES;DEPS;LIBS;TESTS;TEST_DEPS;BENCHES;FUZZ" ${ARGN})
  set(target mesclun_${M_NAME})
  add_library(${target} STATIC ${M_SOURCES})
  list(TRANSFORM M_DEPS PREPEND mesclun_ OUTPUT_VARIABLE deps)
  target_link_libraries(${target} PUBLIC mesclun_flags ${deps} ${M_LIBS})
  mesclun_use_pch(${target})

  list(TRANSFORM M_TEST_DEPS PREPEND mesclun_ OUTPUT_VARIABLE test_deps)
  if(NOT MESCLUN_PCH)
    mesclun_compile_headers(${target} ${test_deps})
  endif()

  if(NOT EXISTS ${CMAKE_BINARY_DIR}/link_test.cc)
    file(WRITE ${CMAKE_BINARY_DIR}/link_test.cc "int main() { return 0; }\n")
  endif()
  add_executable(${M_NAME}_link_test ${CMAKE_BINARY_DIR}/link_test.cc)
  target_link_libraries(${M_NAME}_link_test PRIVATE
    -Wl,--whole-archive ${target} -Wl,--no-whole-archive)

  if(M_TESTS)
    add_executable(${M_NAME}_test ${M_TESTS})
    target_link_libraries(${M_NAME}_test PRIVATE ${target} ${test_deps} GTest::gmock GTest::gtest mesclun_test_main)
    mesclun_use_pch(${M_NAME}_test)
    add_test(NAME ${M_NAME} COMMAND ${M_NAME}_test)
    set_tests_properties(${M_NAME} PROPERTIES LABELS unit TIMEOUT 300)
  endif()
  if(M_BENCHES)
    add_executable(${M_NAME}_bench ${M_BENCHES})
    target_link_libraries(${M_NAME}_bench PRIVATE ${target} benchmark::benchmark benchmark::benchmark_main)
    mesclun_use_pch(${M_NAME}_bench)
  endif()
  if(MESCLUN_FUZZ)
    foreach(source ${M_FUZZ})
      get_filename_component(name ${source} NAME_WE)
      add_executable(${name} ${source})
      target_link_libraries(${name} PRIVATE ${target})
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
      mesclun_use_pch(${name})
    endforeach()
  endif()
endfunction()

# Each header that has no source of its own, which would include it first, as a source.
function(mesclun_compile_headers target)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h)
  foreach(header ${headers})
    string(REGEX REPLACE "\\.h$" ".cc" source ${header})
    if(NOT EXISTS ${source})
      file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR}/src ${header})
      file(CONFIGURE OUTPUT headers/${name}.cc CONTENT "#include \"${name}\"\n")
      list(APPEND sources ${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cc)
    endif()
  endforeach()
  if(sources)
    add_library(${target}_headers OBJECT ${sources})
    target_link_libraries(${target}_headers PRIVATE ${target} ${ARGN})
  endif()
endfunction()

# The header everybody pays for (Asio, fmt, the containers) is compiled once.
function(mesclun_use_pch target)
  if(NOT MESCLUN_PCH)
    return()
  endif()
  if(target STREQUAL "mesclun_base")
    target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/src/base/pch.h)
  else()
    target_precompile_headers(${target} REUSE_FROM mesclun_base)
  endif()
endfunction()

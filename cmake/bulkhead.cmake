# The few functions every folder's CMakeLists.txt uses.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(SECCOMP REQUIRED libseccomp)
pkg_check_modules(OPENSSL REQUIRED openssl)
find_path(BULKHEAD_EXPECTED tl/expected.hpp REQUIRED)

add_library(bulkhead_flags INTERFACE)
target_include_directories(bulkhead_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_BINARY_DIR}/generated)
target_compile_definitions(bulkhead_flags INTERFACE BULKHEAD_VERSION="${PROJECT_VERSION}" _GNU_SOURCE)
target_compile_options(bulkhead_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-qual -Wimplicit-fallthrough
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety> -fstack-protector-strong -ftrivial-auto-var-init=zero
  -ffunction-sections -fdata-sections)
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
else()
  target_compile_definitions(bulkhead_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:_FORTIFY_SOURCE=2>)
endif()
target_link_options(bulkhead_flags INTERFACE -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack
  $<$<CXX_COMPILER_ID:Clang>:-fuse-ld=lld>)

# Headers of Boost.Asio/Beast 1.81, as system headers: only the files that need them link this.
add_library(bulkhead_boost INTERFACE)
target_include_directories(bulkhead_boost SYSTEM INTERFACE ${BULKHEAD_BOOST}/usr/include)
target_compile_definitions(bulkhead_boost INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_COROUTINE)

# The headers that most files wait for, once for the libraries and once for the tests (programs are compiled with -fPIE).
# Whoever reuses one must be compiled with the same flags.
function(bulkhead_precompiled target)
  if(NOT BULKHEAD_PRECOMPILED)
    return()
  endif()
  get_target_property(kind ${target} TYPE)
  set(headers <algorithm> <chrono> <functional> <map> <memory> <optional> <string> <string_view> <variant> <vector>
    <nlohmann/json.hpp> <tl/expected.hpp>)
  if(kind STREQUAL EXECUTABLE)
    list(APPEND headers <gtest/gtest.h>)
  endif()
  string(TOLOWER bulkhead_precompiled_${kind} from)
  # Neither file may say when it was made, or ccache has to take each for another.
  target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  if(NOT TARGET ${from})
    file(WRITE ${CMAKE_BINARY_DIR}/${from}.cc "int main() {}\n")
    add_library(${from} OBJECT ${CMAKE_BINARY_DIR}/${from}.cc)
    target_link_libraries(${from} PRIVATE bulkhead_flags)
    target_compile_options(${from} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
    if(kind STREQUAL EXECUTABLE)
      set_target_properties(${from} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
      target_compile_options(${from} PRIVATE -fPIE)
    endif()
    target_precompile_headers(${from} PRIVATE ${headers})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${from})
endfunction()

# bulkhead_library(NAME [DEPS …]): every .cc of this folder but the *_test.cc, which become NAME_test.
function(bulkhead_library name)
  cmake_parse_arguments(ARG "" "" "DEPS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|_main)\\.cc$")
  foreach(file ${ARG_EXCLUDE})
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC bulkhead_flags ${ARG_DEPS})
  bulkhead_precompiled(${name})
  if(tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ${name} gtest gtest_main Threads::Threads)
    bulkhead_precompiled(${name}_test)
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()

# bulkhead_program(NAME MAIN.cc DEPS …): one executable, static-pie unless a sanitizer needs the dynamic loader.
function(bulkhead_program name main)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  add_executable(${name} ${main})
  target_link_libraries(${name} PRIVATE bulkhead_flags ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  if(BULKHEAD_STATIC AND NOT BULKHEAD_SANITIZE)
    target_link_options(${name} PRIVATE -static-pie)
  endif()
endfunction()

# bulkhead_reader_beside(TEST): bulkhead-look stands beside a test whose code asks it (src/trust/reader.h). With a
# sanitizer, whose own calls no allow-list has, it is one that is not confined.
function(bulkhead_reader_beside test)
  set(reader bulkhead-look)
  if(BULKHEAD_SANITIZE)
    set(reader bulkhead-look-sanitized)
    if(NOT TARGET ${reader})
      add_executable(${reader} ${CMAKE_SOURCE_DIR}/src/trust/look_main.cc ${CMAKE_SOURCE_DIR}/tests/turned/unconfined.cc)
      target_link_libraries(${reader} PRIVATE bulkhead_trust)
    endif()
  endif()
  add_dependencies(${test} ${reader})
  add_custom_command(TARGET ${test} POST_BUILD VERBATIM
    COMMAND ${CMAKE_COMMAND} -E create_symlink $<TARGET_FILE:${reader}> $<TARGET_FILE_DIR:${test}>/bulkhead-look)
endfunction()

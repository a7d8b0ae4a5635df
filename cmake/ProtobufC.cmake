# SPDX-License-Identifier: Apache-2.0
# tercet_protobufc_generate(TARGET name ROOT dir PROTOS a/b.proto ... [IMPORTS dir ...] [DESCRIPTORS symbol])
#
# Makes a static library `name` from .proto files (paths relative to ROOT) with protoc-c. With DESCRIPTORS, also embeds
# their FileDescriptorSet as `const unsigned char symbol[]` and `const size_t symbol_size`, declared in "symbol.h".
# Includes are "<path>.pb-c.h" as in the .proto paths.
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/Embed.cmake)
function(tercet_protobufc_generate)
  cmake_parse_arguments(ARG "" "TARGET;ROOT;DESCRIPTORS" "PROTOS;IMPORTS" ${ARGN})
  set(out ${CMAKE_CURRENT_BINARY_DIR}/${ARG_TARGET}.gen)
  file(MAKE_DIRECTORY ${out})
  set(sources)
  set(inputs)
  set(includes -I${ARG_ROOT})
  foreach(dir IN LISTS ARG_IMPORTS)
    list(APPEND includes -I${dir})
  endforeach()
  foreach(proto IN LISTS ARG_PROTOS)
    string(REGEX REPLACE "\\.proto$" ".pb-c" base ${proto})
    list(APPEND sources ${out}/${base}.c)
    list(APPEND headers ${out}/${base}.h)
    list(APPEND inputs ${ARG_ROOT}/${proto})
  endforeach()
  add_custom_command(OUTPUT ${sources} ${headers}
    COMMAND ${TERCET_PROTOC_C} ${includes} --c_out=${out} ${inputs}
    DEPENDS ${inputs} VERBATIM)
  if(ARG_DESCRIPTORS)
    set(set_file ${out}/${ARG_DESCRIPTORS}.binpb)
    set(embedded ${out}/${ARG_DESCRIPTORS}.c)
    add_custom_command(OUTPUT ${set_file}
      COMMAND ${TERCET_PROTOC_C} ${includes} --include_imports --descriptor_set_out=${set_file} ${inputs}
      DEPENDS ${inputs} VERBATIM)
    add_custom_command(OUTPUT ${embedded}
      COMMAND ${CMAKE_COMMAND} -DINPUT=${set_file} -DOUTPUT=${embedded} -DSYMBOL=${ARG_DESCRIPTORS} -P ${EMBED_SCRIPT}
      DEPENDS ${set_file} ${EMBED_SCRIPT} VERBATIM)
    file(WRITE ${out}/${ARG_DESCRIPTORS}.h
      "#include <stddef.h>\nextern const unsigned char ${ARG_DESCRIPTORS}[];\nextern const size_t ${ARG_DESCRIPTORS}_size;\n")
    list(APPEND sources ${embedded})
  endif()
  add_library(${ARG_TARGET} OBJECT ${sources} ${headers})
  target_include_directories(${ARG_TARGET} PUBLIC $<BUILD_INTERFACE:${out}>)
  target_compile_options(${ARG_TARGET} PRIVATE -w)
  target_link_libraries(${ARG_TARGET} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()

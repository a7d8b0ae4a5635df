# SPDX-License-Identifier: Apache-2.0
# Writes a file's bytes as a C array: cmake -DINPUT=.. -DOUTPUT=.. -DSYMBOL=.. -P Embed.cmake
file(READ ${INPUT} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${SYMBOL}.h\"\nconst unsigned char ${SYMBOL}[] = {${bytes}};\nconst size_t ${SYMBOL}_size = ${size};\n")

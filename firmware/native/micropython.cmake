# The core as a user C module, in the firmware itself, for MicroPython's ports that are built with CMake (rp2, esp32):
#
#   make -C ports/rp2 BOARD=RPI_PICO USER_C_MODULES=/path/to/bitwren/firmware/native/micropython.cmake

add_library(usermod_bitwren INTERFACE)

# The assembly is empty where the chip is no Arm.
file(GLOB BITWREN_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/*.c ${CMAKE_CURRENT_LIST_DIR}/*.S)
target_sources(usermod_bitwren INTERFACE ${BITWREN_SOURCES})
target_include_directories(usermod_bitwren INTERFACE ${CMAKE_CURRENT_LIST_DIR})

# The Makefile beside says why. Ports compile with -Os.
foreach(name products scan)
    set_property(SOURCE ${CMAKE_CURRENT_LIST_DIR}/${name}.c APPEND PROPERTY COMPILE_OPTIONS -O2)
endforeach()

target_link_libraries(usermod INTERFACE usermod_bitwren)

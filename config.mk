# What you may change. The command line wins: make CC=clang O=build-clang

# Where everything built goes; one directory per set of options.
O      = build
# Install prefix of `make install`.
PREFIX = /usr/local
DESTDIR =

# The machine's own compiler: unit tests, checks, and belfry itself on arm64.
CC     = cc
AR     = ar
# The compiler for arm64 when this machine is something else.
CROSS  = aarch64-linux-gnu-

OPT    = -O2 -g
# Sanitizers for the native build: SAN=address,undefined
SAN    =
# Warnings are errors; WERROR=0 lets a new compiler's opinions pass.
WERROR = 1

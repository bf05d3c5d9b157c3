/* elf.h - ELF64 structures. */
#pragma once
#include "lib/abi/elf.h"

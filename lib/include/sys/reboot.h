/* sys/reboot.h - stopping the machine. */
#pragma once
#include "lib/abi/reboot.h"

#define RB_AUTOBOOT     LINUX_REBOOT_CMD_RESTART
#define RB_HALT_SYSTEM  LINUX_REBOOT_CMD_HALT
#define RB_POWER_OFF    LINUX_REBOOT_CMD_POWER_OFF

int reboot(int cmd);

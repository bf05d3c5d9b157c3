/* termios.h - struct termios as the tty ioctls take it (36 bytes), its bits, and the ioctl numbers. */
#pragma once
#include <stdint.h>

typedef uint32_t tcflag_t;
typedef uint8_t cc_t;
typedef uint32_t speed_t;

#define NCCS 19

struct termios {
	tcflag_t c_iflag;
	tcflag_t c_oflag;
	tcflag_t c_cflag;
	tcflag_t c_lflag;
	cc_t c_line;
	cc_t c_cc[NCCS];
};

struct winsize {
	uint16_t ws_row;
	uint16_t ws_col;
	uint16_t ws_xpixel;
	uint16_t ws_ypixel;
};

#define VINTR           0       /* c_cc */
#define VQUIT           1
#define VERASE          2
#define VKILL           3
#define VEOF            4
#define VTIME           5
#define VMIN            6
#define VSWTC           7
#define VSTART          8
#define VSTOP           9
#define VSUSP           10
#define VEOL            11
#define VREPRINT        12
#define VDISCARD        13
#define VWERASE         14
#define VLNEXT          15
#define VEOL2           16

#define IGNBRK          0000001 /* c_iflag */
#define BRKINT          0000002
#define IGNPAR          0000004
#define PARMRK          0000010
#define INPCK           0000020
#define ISTRIP          0000040
#define INLCR           0000100
#define IGNCR           0000200
#define ICRNL           0000400
#define IUCLC           0001000
#define IXON            0002000
#define IXANY           0004000
#define IXOFF           0010000
#define IMAXBEL         0020000
#define IUTF8           0040000

#define OPOST           0000001 /* c_oflag */
#define OLCUC           0000002
#define ONLCR           0000004
#define OCRNL           0000010
#define ONOCR           0000020
#define ONLRET          0000040
#define OFILL           0000100
#define OFDEL           0000200
#define TABDLY          0014000
#define XTABS           0014000

#define CBAUD           0010017 /* c_cflag */
#define B0              0000000
#define B9600           0000015
#define B19200          0000016
#define B38400          0000017
#define B57600          0010001
#define B115200         0010002
#define CSIZE           0000060
#define CS5             0000000
#define CS6             0000020
#define CS7             0000040
#define CS8             0000060
#define CSTOPB          0000100
#define CREAD           0000200
#define PARENB          0000400
#define PARODD          0001000
#define HUPCL           0002000
#define CLOCAL          0004000
#define CRTSCTS         020000000000

#define ISIG            0000001 /* c_lflag */
#define ICANON          0000002
#define XCASE           0000004
#define ECHO            0000010
#define ECHOE           0000020
#define ECHOK           0000040
#define ECHONL          0000100
#define NOFLSH          0000200
#define TOSTOP          0000400
#define ECHOCTL         0001000
#define ECHOPRT         0002000
#define ECHOKE          0004000
#define FLUSHO          0010000
#define PENDIN          0040000
#define IEXTEN          0100000
#define EXTPROC         0200000

#define TCSANOW         0       /* tcsetattr: TCSETS + this */
#define TCSADRAIN       1
#define TCSAFLUSH       2
#define TCIFLUSH        0       /* TCFLSH */
#define TCOFLUSH        1
#define TCIOFLUSH       2
#define TCOOFF          0       /* TCXONC */
#define TCOON           1
#define TCIOFF          2
#define TCION           3

#define TCGETS          0x5401
#define TCSETS          0x5402
#define TCSETSW         0x5403
#define TCSETSF         0x5404
#define TCSBRK          0x5409
#define TCXONC          0x540A
#define TCFLSH          0x540B
#define TIOCEXCL        0x540C
#define TIOCNXCL        0x540D
#define TIOCSCTTY       0x540E
#define TIOCGPGRP       0x540F
#define TIOCSPGRP       0x5410
#define TIOCOUTQ        0x5411
#define TIOCSTI         0x5412
#define TIOCGWINSZ      0x5413
#define TIOCSWINSZ      0x5414
#define FIONREAD        0x541B
#define TIOCINQ         FIONREAD
#define FIONBIO         0x5421
#define TIOCNOTTY       0x5422
#define TIOCSETD        0x5423
#define TIOCGETD        0x5424
#define TCSBRKP         0x5425
#define TIOCGSID        0x5429
#define TIOCVHANGUP     0x5437
#define FIONCLEX        0x5450
#define FIOCLEX         0x5451
#define BLKGETSIZE      0x1260
#define BLKFLSBUF       0x1261
#define BLKSSZGET       0x1268
#define BLKGETSIZE64    0x80081272

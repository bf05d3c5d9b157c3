/* vectors.c - readv and writev: pieces in order, empty ones, and what is refused.            (lab 7) */
#include <fcntl.h>
#include <sys/uio.h>
#include "say.h"

int
main(void)
{
	char a[4], b[8], c[16];
	struct iovec out[] = { { "one", 3 }, { "", 0 }, { "two", 3 }, { "three", 5 } };
	struct iovec in[] = { { a, 4 }, { b, 3 }, { c, 16 } };
	struct iovec half[] = { { "good", 4 }, { (void *)16, 5 } };
	struct iovec *volatile none = NULL;
	volatile int negative = -1, many = 1025;
	int fd;

	OK(fd = open("vec.tmp", O_CREAT | O_TRUNC | O_RDWR, 0644));
	CALL(writev(fd, out, 4));
	CALL(lseek(fd, 0, SEEK_SET));
	CALL(readv(fd, in, 3));
	say("[%.4s][%.3s][%.4s]\n", a, b, c);
	CALL(readv(fd, in, 3));
	CALL(writev(fd, out, 0));
	CALL(writev(fd, out, negative));
	CALL(writev(fd, out, many));
	CALL(writev(fd, none, 1));
	CALL(writev(99, out, 1));
	out[0].iov_len = -1ul;
	CALL(writev(fd, out, 2));
	CALL(lseek(fd, 0, SEEK_END));
	CALL(writev(fd, half, 1));
	half[0].iov_len = 0;
	CALL(writev(fd, half, 2));
	CALL(lseek(fd, 0, SEEK_END));
	CALL(unlink("vec.tmp"));
	return 0;
}

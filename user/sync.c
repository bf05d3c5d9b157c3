/* sync - write everything that is still in memory to the disks. */
#include <unistd.h>

int
main(void)
{
	sync();
	return 0;
}

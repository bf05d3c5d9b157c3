/* stdio.h - buffered files and formatted output. */
#pragma once
#include "lib/abi/types.h"
#include "lib/kern/fmt.h"

#define BUFSIZ  4096
#define EOF     (-1)
#define _IOFBF  0       /* setvbuf: write when full, at every line end, at once */
#define _IOLBF  1
#define _IONBF  2

/* A file is reading, writing or neither; the buffer belongs to the current direction.
 *   reading: buf[pos..len) was read from fd and not yet taken.    writing: buf[0..pos) waits to be written. */
typedef struct FILE {
	int fd;
	int mode;               /* _IOFBF, _IOLBF, _IONBF */
	int flags;              /* FILE_* of stdio.c */
	size_t pos, len;
	char *buf;              /* BUFSIZ bytes */
	struct FILE *next;      /* all open files, for fflush(NULL) */
} FILE;

extern FILE *stdin, *stdout, *stderr;

FILE *fopen(const char *restrict path, const char *restrict mode);
FILE *fdopen(int fd, const char *mode);
int fclose(FILE *f);
int fflush(FILE *f);
int fileno(FILE *f);
int feof(FILE *f);
int ferror(FILE *f);
void clearerr(FILE *f);
int setvbuf(FILE *restrict f, char *restrict buf, int mode, size_t size);
int fseek(FILE *f, long offset, int whence);
long ftell(FILE *f);
void rewind(FILE *f);

int fgetc(FILE *f);
int getc(FILE *f);
int getchar(void);
int ungetc(int c, FILE *f);
char *fgets(char *restrict s, int size, FILE *restrict f);
ssize_t getline(char **restrict line, size_t *restrict size, FILE *restrict f);
size_t fread(void *restrict p, size_t size, size_t count, FILE *restrict f);

int fputc(int c, FILE *f);
int putc(int c, FILE *f);
int putchar(int c);
int fputs(const char *restrict s, FILE *restrict f);
int puts(const char *s);
size_t fwrite(const void *restrict p, size_t size, size_t count, FILE *restrict f);

int printf(const char *restrict f, ...) __attribute__((format(printf, 1, 2)));
int fprintf(FILE *restrict f, const char *restrict fmt, ...) __attribute__((format(printf, 2, 3)));
int dprintf(int fd, const char *restrict fmt, ...) __attribute__((format(printf, 2, 3)));
int sprintf(char *restrict buf, const char *restrict fmt, ...) __attribute__((format(printf, 2, 3)));
int vprintf(const char *restrict fmt, va_list ap) __attribute__((format(printf, 1, 0)));
int vfprintf(FILE *restrict f, const char *restrict fmt, va_list ap) __attribute__((format(printf, 2, 0)));
int vdprintf(int fd, const char *restrict fmt, va_list ap) __attribute__((format(printf, 2, 0)));
void perror(const char *what);

int remove(const char *path);
int rename(const char *from, const char *to);
int renameat(int fromfd, const char *from, int tofd, const char *to);
int renameat2(int fromfd, const char *from, int tofd, const char *to, unsigned flags);

/*
 * Makes system calls of a program fail, on command: preload it with LD_PRELOAD and name a control file of one page in
 * EXLAB_TEST_FAULTS. The page holds rules, shared with the test that arms and lifts them while the program runs, and
 * counts there what each rule saw and hit. It never touches a call that no armed rule names.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "paths.h"

/* The order and the numbers are those of `Call` and `Effect` in shim.py. */
enum call {
    OPEN = 1 << 0, READ = 1 << 1, WRITE = 1 << 2, FSYNC = 1 << 3, RENAME = 1 << 4, MKDIR = 1 << 5, UNLINK = 1 << 6,
    STAT = 1 << 7, LIST = 1 << 8, LINK = 1 << 9, DRESS = 1 << 10, TRUNCATE = 1 << 11, CLOSE = 1 << 12, ROOM = 1 << 13,
    THREAD = 1 << 14, LOCK = 1 << 15, CLOCK = 1 << 16,
};
enum effect { FAIL = 0, SHORT = 1, ZEROS = 2, AFTERWARDS = 3, LOSE = 4 };

struct rule {
    uint32_t armed, calls, effect, delay_ms;
    int32_t error, shift_s;
    int64_t skip, times, seen, hits;
    char pattern[456];
};
struct answer { int error; enum effect effect; };

enum { RULES = 8, LOST = 64 << 10 };
static struct rule *rules;

__attribute__((constructor)) static void attach(void)
{
    const char *control = getenv("EXLAB_TEST_FAULTS");
    int fd = control ? (int)syscall(SYS_openat, AT_FDCWD, control, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, RULES * sizeof(struct rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (page != MAP_FAILED) rules = page;
}

static void wait_while_armed(const struct rule *rule)
{
    for (uint32_t waited = 0; waited < rule->delay_ms && __atomic_load_n(&rule->armed, __ATOMIC_ACQUIRE); waited += 5) {
        struct timespec pause = {0, 5 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
}

static struct answer ask(enum call call, int at, const char *name)
{
    struct answer answer = {0, FAIL};
    char path[PATH_MAX];
    int resolved = 0;
    for (int n = 0; rules && n < RULES; n++) {
        struct rule *rule = &rules[n];
        if (!__atomic_load_n(&rule->armed, __ATOMIC_ACQUIRE) || !(rule->calls & call)) continue;
        if (!resolved++ && call != THREAD) absolute(path, at, name);
        if (call != THREAD && fnmatch(rule->pattern, path, 0)) continue;
        int64_t turn = __atomic_fetch_add(&rule->seen, 1, __ATOMIC_ACQ_REL) - rule->skip;
        if (turn < 0 || (rule->times >= 0 && turn >= rule->times)) continue;
        __atomic_fetch_add(&rule->hits, 1, __ATOMIC_ACQ_REL);
        wait_while_armed(rule);
        answer.error = rule->error;
        answer.effect = rule->effect;
    }
    return answer;
}

/* What a disk may do when it reports a failed flush: the pages count as clean, and their bytes never arrive. */
static void lose_tail(int fd)
{
    static const char nothing[LOST];
    struct stat status;
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int again = (int)syscall(SYS_openat, AT_FDCWD, link, O_WRONLY | O_CLOEXEC);
    if (again < 0) return;
    if (!fstat(again, &status)) {
        off_t size = status.st_size < LOST ? status.st_size : LOST;
        syscall(SYS_pwrite64, again, nothing, (size_t)size, status.st_size - size);
    }
    syscall(SYS_close, again);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define REFUSE(answer, failed) \
    if ((answer).error) { \
        errno = (answer).error; \
        return failed; \
    }

/* A call that fails before anything happened, or, with AFTERWARDS, after all of it did. */
#define PLAIN(type, failed, name, parameters, arguments, call, at, path) \
    type name parameters \
    { \
        REAL(name); \
        struct answer answer = ask(call, at, path); \
        if (answer.effect != AFTERWARDS) { REFUSE(answer, failed) } \
        type result = real arguments; \
        REFUSE(answer, failed) \
        return result; \
    }

#define OPENS(name, parameters, arguments, at) \
    int name parameters \
    { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        struct answer answer = ask(OPEN, at, path); \
        REFUSE(answer, -1) \
        return real arguments; \
    }

OPENS(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
OPENS(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
OPENS(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)

#define READS(name, parameters, arguments) \
    ssize_t name parameters \
    { \
        REAL(name); \
        struct answer answer = ask(READ, fd, NULL); \
        REFUSE(answer, -1) \
        if (answer.effect == SHORT && size > 1) size /= 2; \
        return real arguments; \
    }

READS(read, (int fd, void *data, size_t size), (fd, data, size))
READS(pread, (int fd, void *data, size_t size, off_t from), (fd, data, size, from))
READS(pread64, (int fd, void *data, size_t size, off64_t from), (fd, data, size, from))

#define WRITES(name, parameters, arguments) \
    ssize_t name parameters \
    { \
        REAL(name); \
        struct answer answer = ask(WRITE, fd, NULL); \
        REFUSE(answer, -1) \
        if (answer.effect == SHORT && size > 1) size /= 2; \
        void *zeros = answer.effect == ZEROS ? calloc(1, size) : NULL; \
        if (zeros) data = zeros; \
        ssize_t result = real arguments; \
        free(zeros); \
        return result; \
    }

WRITES(write, (int fd, const void *data, size_t size), (fd, data, size))
WRITES(pwrite, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to))
WRITES(pwrite64, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to))

#define FLUSHES(name) \
    int name(int fd) \
    { \
        REAL(name); \
        struct answer answer = ask(FSYNC, fd, NULL); \
        if (answer.effect == LOSE) lose_tail(fd); \
        REFUSE(answer, -1) \
        return real(fd); \
    }

FLUSHES(fsync)
FLUSHES(fdatasync)
FLUSHES(syncfs)

/* As the system does it, the descriptor is gone even when closing reports an error. */
int close(int fd)
{
    REAL(close);
    struct answer answer = ask(CLOSE, fd, NULL);
    int result = real(fd);
    REFUSE(answer, -1)
    return result;
}

PLAIN(int, -1, rename, (const char *from, const char *to), (from, to), RENAME, AT_FDCWD, to)
PLAIN(int, -1, renameat, (int at, const char *from, int there, const char *to), (at, from, there, to), RENAME, there, to)
PLAIN(int, -1, mkdir, (const char *path, mode_t mode), (path, mode), MKDIR, AT_FDCWD, path)
PLAIN(int, -1, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), MKDIR, at, path)
PLAIN(int, -1, unlink, (const char *path), (path), UNLINK, AT_FDCWD, path)
PLAIN(int, -1, unlinkat, (int at, const char *path, int flags), (at, path, flags), UNLINK, at, path)
PLAIN(int, -1, rmdir, (const char *path), (path), UNLINK, AT_FDCWD, path)
PLAIN(int, -1, stat, (const char *path, struct stat *into), (path, into), STAT, AT_FDCWD, path)
PLAIN(int, -1, lstat, (const char *path, struct stat *into), (path, into), STAT, AT_FDCWD, path)
PLAIN(int, -1, fstat, (int fd, struct stat *into), (fd, into), STAT, fd, NULL)
PLAIN(int, -1, fstatat, (int at, const char *path, struct stat *into, int flags), (at, path, into, flags), STAT, at, path)
PLAIN(int, -1, stat64, (const char *path, struct stat64 *into), (path, into), STAT, AT_FDCWD, path)
PLAIN(int, -1, lstat64, (const char *path, struct stat64 *into), (path, into), STAT, AT_FDCWD, path)
PLAIN(int, -1, fstat64, (int fd, struct stat64 *into), (fd, into), STAT, fd, NULL)
PLAIN(int, -1, fstatat64, (int at, const char *path, struct stat64 *into, int flags), (at, path, into, flags), STAT, at, path)
PLAIN(int, -1, statx, (int at, const char *restrict path, int flags, unsigned mask, struct statx *restrict into),
      (at, path, flags, mask, into), STAT, at, path)
PLAIN(DIR *, NULL, opendir, (const char *path), (path), LIST, AT_FDCWD, path)
PLAIN(DIR *, NULL, fdopendir, (int fd), (fd), LIST, fd, NULL)
PLAIN(struct dirent *, NULL, readdir, (DIR * open), (open), LIST, dirfd(open), NULL)
PLAIN(struct dirent64 *, NULL, readdir64, (DIR * open), (open), LIST, dirfd(open), NULL)
PLAIN(int, -1, link, (const char *from, const char *to), (from, to), LINK, AT_FDCWD, to)
PLAIN(int, -1, linkat, (int at, const char *from, int there, const char *to, int flags), (at, from, there, to, flags),
      LINK, there, to)
PLAIN(int, -1, symlink, (const char *from, const char *to), (from, to), LINK, AT_FDCWD, to)
PLAIN(int, -1, symlinkat, (const char *from, int there, const char *to), (from, there, to), LINK, there, to)
PLAIN(int, -1, utimensat, (int at, const char *path, const struct timespec times[2], int flags), (at, path, times, flags),
      DRESS, at, path)
PLAIN(int, -1, fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags), DRESS, at, path)
PLAIN(int, -1, ftruncate, (int fd, off_t size), (fd, size), TRUNCATE, fd, NULL)
PLAIN(int, -1, ftruncate64, (int fd, off64_t size), (fd, size), TRUNCATE, fd, NULL)
PLAIN(int, -1, statvfs, (const char *path, struct statvfs *into), (path, into), ROOM, AT_FDCWD, path)
PLAIN(int, -1, statvfs64, (const char *path, struct statvfs64 *into), (path, into), ROOM, AT_FDCWD, path)
PLAIN(int, -1, fstatvfs, (int fd, struct statvfs *into), (fd, into), ROOM, fd, NULL)
PLAIN(int, -1, fstatvfs64, (int fd, struct statvfs64 *into), (fd, into), ROOM, fd, NULL)
PLAIN(int, -1, flock, (int fd, int how), (fd, how), LOCK, fd, NULL)

/* By how many seconds the wall clock is set; the steady clock is nobody's to set. */
static time_t shift(void)
{
    time_t by = 0;
    for (int n = 0; rules && n < RULES; n++) {
        struct rule *rule = &rules[n];
        if (!__atomic_load_n(&rule->armed, __ATOMIC_ACQUIRE) || !(rule->calls & CLOCK)) continue;
        __atomic_fetch_add(&rule->hits, 1, __ATOMIC_ACQ_REL);
        by += rule->shift_s;
    }
    return by;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    REAL(clock_gettime);
    int result = real(clock, now);
    if (!result && clock == CLOCK_REALTIME) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    REAL(gettimeofday);
    int result = real(now, zone);
    if (!result) now->tv_sec += shift();
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *with)
{
    REAL(pthread_create);
    struct answer answer = ask(THREAD, AT_FDCWD, NULL);
    return answer.error ? answer.error : real(thread, attributes, run, with);
}

/* The kill shim: numbers the calls that change files below given folders, and kills the process at one of them.

   Loaded with LD_PRELOAD and asleep until CRASH_ROOTS is set, at the start or when `crash_shim_arm` is called after a
   fork. Numbers are drawn over the whole process, by all threads, so `number N` is one call and no other; a kill goes
   by the number among the calls of one name on one path, which does not change with the order in which threads run.
   Every point is written down before anything happens at it; a kill that left no line did not come from here.

   CRASH_ROOTS  folders, one a line; calls on anything else are not counted
   CRASH_LOG    where points go, as `number thread call path`: all of them, or the one that killed
   CRASH_AT     `17` kills before call 17, `17+` after it; empty or absent: only count
   CRASH_CALL   the name of the calls that are numbered; empty or absent: all
   CRASH_PATH   and a pattern for their paths, as the shell matches names, `*` also over `/` */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "paths.h"

enum { LOG_DESCRIPTOR = 900 };

struct point {
    long number; /* 0: not counted */
    const char *call;
    char path[PATH_MAX];
};

static long kill_at;
static int kill_after;
static char only_call[64], only_path[PATH_MAX];
static int log_descriptor = -1;
static atomic_long drawn;

static void note(const struct point *point) {
    char line[PATH_MAX + 128];
    int length = snprintf(line, sizeof line,
                     "%ld %ld %s %s", point->number, syscall(SYS_gettid), point->call, point->path);
    for (int i = 0; i < length; i++)
        if (line[i] == '\n')
            line[i] = '?';
    line[length++] = '\n';
    if (syscall(SYS_write, log_descriptor, line, length) != length)
        _exit(99); /* a point that is not written down must not look like one that was never reached */
}

static void die(const struct point *point) {
    note(point);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Draw a number for a call on `path` below the open `folder`, or on the open file `folder` itself. */
static void reach(struct point *point, const char *call, int folder, const char *path) {
    point->number = 0;
    if (!root_count)
        return;
    absolute(point->path, folder, path);
    if (!below_roots(point->path))
        return;
    if (*only_call && (strcmp(only_call, call) != 0 || fnmatch(only_path, point->path, 0) != 0))
        return;
    point->call = call;
    point->number = atomic_fetch_add(&drawn, 1) + 1;
    if (kill_at == 0)
        note(point);
    else if (point->number == kill_at && !kill_after)
        die(point);
}

static void leave(const struct point *point) {
    if (point->number && point->number == kill_at && kill_after)
        die(point);
}

__attribute__((constructor)) void crash_shim_arm(void) {
    const char *named = getenv("CRASH_ROOTS"), *at = getenv("CRASH_AT"), *log = getenv("CRASH_LOG");
    root_count = 0;
    if (!named || !*named || !log)
        return;
    int opened = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    log_descriptor = fcntl(opened, F_DUPFD_CLOEXEC, LOG_DESCRIPTOR);
    close(opened);
    if (log_descriptor < 0)
        _exit(98);
    kill_at = at ? atol(at) : 0;
    kill_after = at && strchr(at, '+');
    const char *call = getenv("CRASH_CALL"), *path = getenv("CRASH_PATH");
    snprintf(only_call, sizeof only_call, "%s", call ? call : "");
    snprintf(only_path, sizeof only_path, "%s", path ? path : "*");
    drawn = 0;
    watch_roots(named);
}

#define WRAP(type, name, call, parameters, arguments, folder, path)                                                    \
    type name parameters {                                                                                             \
        static type(*next) parameters;                                                                                 \
        struct point point;                                                                                            \
        if (!next)                                                                                                     \
            next = (type(*) parameters)dlsym(RTLD_NEXT, #name);                                                        \
        reach(&point, call, folder, path);                                                                             \
        type result = next arguments;                                                                                  \
        leave(&point);                                                                                                 \
        return result;                                                                                                 \
    }

/* Names are those of the system calls, as strace has them; where libc has two names for one call, both are here. */
WRAP(ssize_t, write, "write", (int fd, const void *data, size_t size), (fd, data, size), fd, NULL)
WRAP(ssize_t, pwrite, "pwrite64", (int fd, const void *data, size_t size, off_t at), (fd, data, size, at), fd, NULL)
WRAP(ssize_t, pwrite64, "pwrite64",
     (int fd, const void *data, size_t size, off64_t at),
     (fd, data, size, at), fd, NULL)
WRAP(ssize_t, writev, "writev", (int fd, const struct iovec *data, int count), (fd, data, count), fd, NULL)
WRAP(ssize_t, pwritev, "pwritev",
     (int fd, const struct iovec *data, int count, off_t at),
     (fd, data, count, at), fd, NULL)
WRAP(ssize_t, pwritev64, "pwritev",
     (int fd, const struct iovec *data, int count, off64_t at),
     (fd, data, count, at), fd, NULL)
WRAP(ssize_t, sendfile, "sendfile", (int to, int from, off_t *at, size_t size), (to, from, at, size), to, NULL)
WRAP(ssize_t, sendfile64, "sendfile", (int to, int from, off64_t *at, size_t size), (to, from, at, size), to, NULL)
WRAP(ssize_t, copy_file_range, "copy_file_range",
     (int from, off64_t *at, int to, off64_t *to_at, size_t size, unsigned flags),
     (from, at, to, to_at, size, flags), to, NULL)
WRAP(int, fsync, "fsync", (int fd), (fd), fd, NULL)
WRAP(int, fdatasync, "fdatasync", (int fd), (fd), fd, NULL)
WRAP(int, syncfs, "syncfs", (int fd), (fd), fd, NULL)
WRAP(int, ftruncate, "ftruncate", (int fd, off_t size), (fd, size), fd, NULL)
WRAP(int, ftruncate64, "ftruncate", (int fd, off64_t size), (fd, size), fd, NULL)
WRAP(int, fchmod, "fchmod", (int fd, mode_t mode), (fd, mode), fd, NULL)
WRAP(int, futimens, "utimensat", (int fd, const struct timespec times[2]), (fd, times), fd, NULL)
WRAP(int, chmod, "chmod", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
WRAP(int, fchmodat, "fchmodat",
     (int folder, const char *path, mode_t mode, int flags),
     (folder, path, mode, flags), folder, path)
WRAP(int, utimensat, "utimensat",
     (int folder, const char *path, const struct timespec times[2], int flags),
     (folder, path, times, flags), folder, path)
WRAP(int, rename, "rename", (const char *old, const char *path), (old, path), AT_FDCWD, path)
WRAP(int, renameat, "renameat",
     (int from, const char *old, int folder, const char *path),
     (from, old, folder, path), folder, path)
WRAP(int, renameat2, "renameat2",
     (int from, const char *old, int folder, const char *path, unsigned flags),
     (from, old, folder, path, flags), folder, path)
WRAP(int, link, "link", (const char *old, const char *path), (old, path), AT_FDCWD, path)
WRAP(int, linkat, "linkat",
     (int from, const char *old, int folder, const char *path, int flags),
     (from, old, folder, path, flags), folder, path)
WRAP(int, symlink, "symlink", (const char *target, const char *path), (target, path), AT_FDCWD, path)
WRAP(int, symlinkat, "symlinkat",
     (const char *target, int folder, const char *path),
     (target, folder, path), folder, path)
WRAP(int, unlink, "unlink", (const char *path), (path), AT_FDCWD, path)
WRAP(int, unlinkat, "unlinkat", (int folder, const char *path, int flags), (folder, path, flags), folder, path)
WRAP(int, rmdir, "rmdir", (const char *path), (path), AT_FDCWD, path)
WRAP(int, mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
WRAP(int, mkdirat, "mkdirat", (int folder, const char *path, mode_t mode), (folder, path, mode), folder, path)

/* Opening counts where it may make or empty a file. */
#define WRAP_OPEN(name, parameters, arguments, folder)                                                                 \
    int name parameters {                                                                                              \
        static int(*next) parameters;                                                                                  \
        struct point point;                                                                                            \
        mode_t mode = 0;                                                                                               \
        if (!next)                                                                                                     \
            next = (int(*) parameters)dlsym(RTLD_NEXT, #name);                                                         \
        if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE) {                                                     \
            va_list rest;                                                                                              \
            va_start(rest, flags);                                                                                     \
            mode = va_arg(rest, mode_t);                                                                               \
            va_end(rest);                                                                                              \
        }                                                                                                              \
        point.number = 0;                                                                                              \
        if (flags & (O_CREAT | O_TRUNC))                                                                               \
            reach(&point, "openat", folder, path);                                                                     \
        int result = next arguments;                                                                                   \
        leave(&point);                                                                                                 \
        return result;                                                                                                 \
    }

WRAP_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
WRAP_OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), folder)
WRAP_OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, mode), folder)

/* The recorder: writes down, in one total order over all threads and processes, what is done to files below some roots.

   Loaded with LD_PRELOAD and asleep until `power_recorder_start` is called. A call and its record happen under one
   lock, so the order of the records is the order of the effects. Only what succeeded is recorded, data included.
   It never opens or closes a file of the program: closing any descriptor of a database drops SQLite's locks. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "paths.h"

enum { LOG_DESCRIPTOR = 901 };

struct record {
    uint64_t inode;
    int64_t offset; /* of data; the new length; or the time of last change in ns */
    uint32_t kind;
    uint32_t mode;
    uint32_t path_length;
    uint32_t other_length;
    uint64_t data_length;
};

static int recording;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void lock(void) {
    pthread_mutex_lock(&turn);
    while (flock(LOG_DESCRIPTOR, LOCK_EX) != 0 && errno == EINTR) {
    }
}

static void unlock(void) {
    int kept = errno;
    flock(LOG_DESCRIPTOR, LOCK_UN);
    pthread_mutex_unlock(&turn);
    errno = kept;
}

static int path_of(int fd, char *path) {
    absolute(path, fd, NULL);
    return below_roots(path);
}

/* The absolute name of what a call at `folder` names; 0 when it lies elsewhere. Dots are resolved when it is read. */
static int named(int folder, const char *name, char *path) {
    if (!recording || name == NULL)
        return 0;
    absolute(path, folder, name);
    return below_roots(path);
}

static void put(uint32_t kind, uint64_t inode, int64_t offset, uint32_t mode, const char *path, const char *other,
                const void *data, uint64_t length) {
    struct record record = {inode, offset, kind, mode, path ? strlen(path) : 0, other ? strlen(other) : 0, length};
    struct iovec parts[4] = {{&record, sizeof record},
                             {(void *)path, record.path_length},
                             {(void *)other, record.other_length},
                             {(void *)data, length}};
    size_t all = sizeof record + record.path_length + record.other_length + length;
    if (syscall(SYS_writev, LOG_DESCRIPTOR, parts, 4) != (ssize_t)all)
        _exit(98); /* a record that is missing would make every rebuilt state wrong */
}

static uint64_t inode_of(int fd) {
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

static void put_meta(const struct stat *status) {
    int64_t at = (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
    put('M', status->st_ino, at, status->st_mode & 07777, NULL, NULL, NULL, 0);
}

/* A regular file below a root, opened by its descriptor: what is written to it counts. */
static int watched(int fd) {
    struct stat status;
    char path[PATH_MAX];
    return recording && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && path_of(fd, path);
}

void power_recorder_start(const char *log, const char *folders) {
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || dup3(fd, LOG_DESCRIPTOR, O_CLOEXEC) < 0)
        _exit(98);
    close(fd);
    watch_roots(folders);
    recording = 1;
}

/* Dies between two records: whatever was done is written down. */
void power_recorder_die(void) {
    lock();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

static int opened(int (*real)(int, const char *, int, mode_t), int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int may_change = (flags & (O_CREAT | O_TRUNC)) && (flags & O_TMPFILE) != O_TMPFILE;
    if (!may_change || !named(folder, name, path))
        return real(folder, name, flags, mode);
    lock();
    struct stat before;
    int existed = fstatat(folder, name, &before, flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0) == 0;
    int fd = real(folder, name, flags, mode);
    struct stat after;
    if (fd >= 0 && fstat(fd, &after) == 0) {
        if (!existed)
            put('C', after.st_ino, 0, after.st_mode & 07777, path, NULL, NULL, 0);
        else if ((flags & O_TRUNC) && before.st_size)
            put('T', after.st_ino, 0, 0, NULL, NULL, NULL, 0);
    }
    unlock();
    return fd;
}

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

static int real_open(int folder, const char *name, int flags, mode_t mode) {
    return REAL(openat)(folder, name, flags, mode);
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = mode_of(flags, rest);                                                                            \
        va_end(rest);                                                                                                  \
        return opened(real_open, AT_FDCWD, path, flags, mode);                                                         \
    }
#define OPEN_AT(name)                                                                                                  \
    int name(int folder, const char *path, int flags, ...) {                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = mode_of(flags, rest);                                                                            \
        va_end(rest);                                                                                                  \
        return opened(real_open, folder, path, flags, mode);                                                           \
    }
OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)

ssize_t write(int fd, const void *data, size_t size) {
    if (!watched(fd))
        return REAL(write)(fd, data, size);
    lock();
    int flags = fcntl(fd, F_GETFL);
    struct stat status;
    fstat(fd, &status);
    off_t at = flags & O_APPEND ? status.st_size : lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0)
        put('W', status.st_ino, at, 0, NULL, NULL, data, done);
    unlock();
    return done;
}

static ssize_t written_at(int fd, const void *data, size_t size, off_t at) {
    if (!watched(fd))
        return REAL(pwrite)(fd, data, size, at);
    lock();
    ssize_t done = REAL(pwrite)(fd, data, size, at);
    if (done > 0)
        put('W', inode_of(fd), at, 0, NULL, NULL, data, done);
    unlock();
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return written_at(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return written_at(fd, data, size, at); }

static int cut(int fd, off_t size) {
    if (!watched(fd))
        return REAL(ftruncate)(fd, size);
    lock();
    int failed = REAL(ftruncate)(fd, size);
    if (!failed)
        put('T', inode_of(fd), size, 0, NULL, NULL, NULL, 0);
    unlock();
    return failed;
}

int ftruncate(int fd, off_t size) { return cut(fd, size); }
int ftruncate64(int fd, off64_t size) { return cut(fd, size); }

static int synced(int (*real)(int), int fd, uint32_t kind) {
    char path[PATH_MAX];
    if (!recording || !path_of(fd, path))
        return real(fd);
    lock();
    int failed = real(fd);
    if (!failed)
        put(kind, inode_of(fd), 0, 0, kind == 'S' ? path : NULL, NULL, NULL, 0);
    unlock();
    return failed;
}

int fsync(int fd) { return synced(REAL(fsync), fd, 'F'); }
int fdatasync(int fd) { return synced(REAL(fdatasync), fd, 'D'); }
int syncfs(int fd) { return synced(REAL(syncfs), fd, 'S'); }

/* Calls that change one name; `call` is what does it, `make` the record when it is done. */
#define NAMED(folder, name, call, make)                                                                                \
    char path[PATH_MAX];                                                                                               \
    if (!named(folder, name, path))                                                                                    \
        return call;                                                                                                   \
    lock();                                                                                                            \
    int failed = call;                                                                                                 \
    if (!failed) {                                                                                                     \
        make;                                                                                                          \
    }                                                                                                                  \
    unlock();                                                                                                          \
    return failed

static void put_made(uint32_t kind, const char *path, const char *target) {
    struct stat status;
    if (lstat(path, &status) == 0)
        put(kind, status.st_ino, 0, status.st_mode & 07777, path, target, NULL, 0);
}

int mkdir(const char *name, mode_t mode) { NAMED(AT_FDCWD, name, REAL(mkdir)(name, mode), put_made('K', path, NULL)); }
int mkdirat(int folder, const char *name, mode_t mode) {
    NAMED(folder, name, REAL(mkdirat)(folder, name, mode), put_made('K', path, NULL));
}
int symlink(const char *target, const char *name) {
    NAMED(AT_FDCWD, name, REAL(symlink)(target, name), put_made('Y', path, target));
}
int symlinkat(const char *target, int folder, const char *name) {
    NAMED(folder, name, REAL(symlinkat)(target, folder, name), put_made('Y', path, target));
}
int unlink(const char *name) { NAMED(AT_FDCWD, name, REAL(unlink)(name), put('U', 0, 0, 0, path, NULL, NULL, 0)); }
int rmdir(const char *name) { NAMED(AT_FDCWD, name, REAL(rmdir)(name), put('X', 0, 0, 0, path, NULL, NULL, 0)); }
int unlinkat(int folder, const char *name, int flags) {
    NAMED(folder, name, REAL(unlinkat)(folder, name, flags),
          put(flags & AT_REMOVEDIR ? 'X' : 'U', 0, 0, 0, path, NULL, NULL, 0));
}

/* Calls that name two: both are below the roots, or neither is. */
#define RENAMED(from_folder, from, to_folder, to, call, kind)                                                          \
    char other[PATH_MAX];                                                                                              \
    int both = named(to_folder, to, other);                                                                            \
    NAMED(from_folder, from, call, if (!both) _exit(98); put(kind, 0, 0, 0, path, other, NULL, 0))

int rename(const char *from, const char *to) { RENAMED(AT_FDCWD, from, AT_FDCWD, to, REAL(rename)(from, to), 'R'); }
int renameat(int a, const char *from, int b, const char *to) {
    RENAMED(a, from, b, to, REAL(renameat)(a, from, b, to), 'R');
}
int link(const char *from, const char *to) { RENAMED(AT_FDCWD, from, AT_FDCWD, to, REAL(link)(from, to), 'L'); }
int linkat(int a, const char *from, int b, const char *to, int flags) {
    RENAMED(a, from, b, to, REAL(linkat)(a, from, b, to, flags), 'L');
}

static void put_meta_of(const char *path) {
    struct stat status;
    if (lstat(path, &status) == 0)
        put_meta(&status);
}

int chmod(const char *name, mode_t mode) { NAMED(AT_FDCWD, name, REAL(chmod)(name, mode), put_meta_of(path)); }
int fchmodat(int folder, const char *name, mode_t mode, int flags) {
    NAMED(folder, name, REAL(fchmodat)(folder, name, mode, flags), put_meta_of(path));
}
int utimensat(int folder, const char *name, const struct timespec times[2], int flags) {
    NAMED(folder, name, REAL(utimensat)(folder, name, times, flags), put_meta_of(path));
}

/* Nobody here changes files by these. One that does must be recorded first: it ends at once instead. */
#define UNKNOWN(fd)                                                                                                    \
    if (watched(fd))                                                                                                   \
        _exit(97)

ssize_t writev(int fd, const struct iovec *parts, int count) {
    UNKNOWN(fd);
    return REAL(writev)(fd, parts, count);
}
ssize_t pwritev64v2(int fd, const struct iovec *parts, int count, off64_t at, int flags) {
    UNKNOWN(fd);
    return REAL(pwritev64v2)(fd, parts, count, at, flags);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    UNKNOWN(fd);
    return REAL(posix_fallocate64)(fd, at, size);
}
ssize_t copy_file_range(int from, off64_t *in, int fd, off64_t *out, size_t size, unsigned flags) {
    UNKNOWN(fd);
    return REAL(copy_file_range)(from, in, fd, out, size, flags);
}
ssize_t sendfile64(int fd, int from, off64_t *at, size_t size) {
    UNKNOWN(fd);
    return syscall(SYS_sendfile, fd, from, at, size);
}

/* What the preloaded libraries share: which path a call is about, and whether that lies below one of the folders that
   are watched. Only system calls that no library here counts, and errno stays as it was. */

#ifndef PATHS_H
#define PATHS_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_ROOTS = 8 };

static char roots[MOST_ROOTS][PATH_MAX];
static int root_count;

/* Watch the folders named in `lines`, one a line. */
static inline void watch_roots(const char *lines) {
    int found = 0;
    while (*lines && found < MOST_ROOTS) {
        size_t length = strcspn(lines, "\n");
        snprintf(roots[found++], PATH_MAX, "%.*s", (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
    root_count = found;
}

static inline int below_roots(const char *path) {
    for (int i = 0; i < root_count; i++) {
        size_t length = strlen(roots[i]);
        if (strncmp(path, roots[i], length) == 0 && (path[length] == '/' || path[length] == 0))
            return 1;
    }
    return 0;
}

/* The absolute path of `name` below the open `folder`, or of what is open as `folder` where no name is given. */
static inline void absolute(char *into, int folder, const char *name) {
    char link[64];
    int kept = errno;
    if (name && name[0] == '/') {
        snprintf(into, PATH_MAX, "%s", name);
        return;
    }
    if (folder == AT_FDCWD)
        snprintf(link, sizeof link, "/proc/self/cwd");
    else
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, into, PATH_MAX - 1);
    into[length > 0 ? length : 0] = 0;
    if (name && name[0] && strcmp(name, ".") != 0 && length > 0)
        snprintf(into + length, PATH_MAX - length, "/%s", name);
    errno = kept;
}

#endif

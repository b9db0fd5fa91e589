/* Loaded with LD_PRELOAD: watches what a process writes below FAULT_DIR, writes it down in FAULT_LOG, and fails what FAULT_SWITCH says.

   FAULT_SWITCH names a file; while it exists and begins with "eio", fsync and fdatasync fail with EIO and sync nothing; with
   "enospc", writes and allocations fail with ENOSPC.
   FAULT_LOG gets one record per call, in the order in which they took effect: kind (1 byte), length of the path (4 bytes),
   offset and length of the data (8 bytes each), all little endian, then the path and the data. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE = 'w', SYNC = 's', TRUNCATE = 't', RENAME = 'r', UNLINK = 'u' };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;

static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, off_t, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void begin(void) {
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_fallocate = dlsym(RTLD_NEXT, "posix_fallocate64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    const char *log = getenv("FAULT_LOG");
    if (log != NULL) log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int below(const char *path) {
    const char *root = getenv("FAULT_DIR");
    return root != NULL && strncmp(path, root, strlen(root)) == 0;
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int fails(const char *how) {
    const char *name = getenv("FAULT_SWITCH");
    char text[16] = {0};
    if (name == NULL) return 0;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 && strncmp(text, how, strlen(how)) == 0;
}

static void note(char kind, const char *path, uint64_t offset, const void *data, uint64_t length) {
    if (log_fd < 0) return;
    uint32_t size = strlen(path);
    struct iovec parts[6] = {{&kind, 1}, {&size, 4}, {&offset, 8}, {&length, 8}, {(void *)path, size}, {(void *)data, data ? length : 0}};
    if (writev(log_fd, parts, 6) < 0) abort(); /* a log with a hole would accuse the innocent */
}

static ssize_t put(int fd, const void *data, size_t length, off_t offset, int at) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return at ? real_pwrite(fd, data, length, offset) : real_write(fd, data, length);
    if (fails("enospc")) return errno = ENOSPC, -1;
    pthread_mutex_lock(&lock);
    off_t place = at ? offset : lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    ssize_t done = at ? real_pwrite(fd, data, length, offset) : real_write(fd, data, length);
    int error = errno;
    if (done > 0) note(WRITE, path, place, data, done);
    pthread_mutex_unlock(&lock);
    return errno = error, done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return put(fd, data, length, offset, 1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return put(fd, data, length, offset, 1); }
ssize_t write(int fd, const void *data, size_t length) { return put(fd, data, length, 0, 0); }

static int flush(int fd, int (*real)(int)) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real(fd);
    if (fails("eio")) return errno = EIO, -1;
    pthread_mutex_lock(&lock);
    int done = real(fd);
    int error = errno;
    if (done == 0) note(SYNC, path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return errno = error, done;
}

int fsync(int fd) { return flush(fd, real_fsync); }
int fdatasync(int fd) { return flush(fd, real_fdatasync); }

static int resize(int fd, off_t size) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    int done = real_ftruncate(fd, size);
    if (done == 0) note(TRUNCATE, path, size, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate64(int fd, off_t size) { return resize(fd, size); }
int ftruncate(int fd, off_t size) { return resize(fd, size); }

static int allocate(int fd, off_t offset, off_t length) {
    char path[PATH_MAX];
    if (!path_of(fd, path)) return real_fallocate(fd, offset, length);
    if (fails("enospc")) return ENOSPC;
    pthread_mutex_lock(&lock);
    int before = lseek(fd, 0, SEEK_CUR);
    off_t end = lseek(fd, 0, SEEK_END);
    lseek(fd, before, SEEK_SET);
    int done = real_fallocate(fd, offset, length);
    if (done == 0 && offset + length > end) note(TRUNCATE, path, offset + length, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int posix_fallocate64(int fd, off_t offset, off_t length) { return allocate(fd, offset, length); }
int posix_fallocate(int fd, off_t offset, off_t length) { return allocate(fd, offset, length); }

int rename(const char *from, const char *to) {
    if (!below(from)) return real_rename(from, to);
    pthread_mutex_lock(&lock);
    int done = real_rename(from, to);
    if (done == 0) note(RENAME, from, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    if (!below(path)) return real_unlink(path);
    pthread_mutex_lock(&lock);
    int done = real_unlink(path);
    if (done == 0) note(UNLINK, path, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return done;
}

/* Put before the C library of a process (LD_PRELOAD), see faulty_system.py: a wall clock that is wrong, and a disk that is slow.
   By how much stands in files that are read at every call, so that it changes while the process runs. Nothing here allocates. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The seconds in the file that the variable names; 0 where there is none. */
static double seconds_in(const char *variable) {
    const char *path = getenv(variable);
    char text[64];
    ssize_t length;
    int file;
    if (path == NULL) return 0;
    file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    text[length] = 0;
    return strtod(text, NULL);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int answer = (int)syscall(SYS_clock_gettime, clock, now);
    if (answer == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += (time_t)seconds_in("FAULTY_CLOCK");
    return answer;
}

static void wait_for_the_disk(void) {
    double seconds = seconds_in("FAULTY_SYNC");
    struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (seconds > 0 && nanosleep(&pause, &pause) != 0) continue;
}

int fsync(int file) {
    wait_for_the_disk();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    wait_for_the_disk();
    return (int)syscall(SYS_fdatasync, file);
}

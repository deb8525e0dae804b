/* A disk that turns, for measuring: one file, "disk", through FUSE, whose reads and writes take as long as on a disk with one arm.
 *
 *     cc -O2 -o spinning_disk spinning_disk.c $(pkg-config --cflags --libs fuse3) -lm -lpthread
 *     spinning_disk IMAGE MOUNTPOINT
 *
 * 7,200 turns a minute and 180 MB/s; a seek takes 1 ms and 12 ms more over 4 TB, as the square root of the way, and then half a turn on
 * average. What lies up to 256 KiB ahead is reached by letting the disk turn. As a disk does with a queue of its own, it takes of the 32
 * oldest requests the one that it reaches soonest, and one that has waited half a second before any other. A loop device over the file
 * (`losetup --direct-io=on`) gives it the kernel's scheduler and page cache. "told" says what it did since something was written to it.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const double BYTES_PER_SECOND = 180e6, SEEK_LEAST = 0.001, SEEK_MORE = 0.012, WAY_WHOLE = 4e12, TURN = 60.0 / 7200;
static const off_t TURNED_OVER = 256 << 10;
static const int QUEUE = 32;
static const double WAITS_MOST = 0.5;

struct request {
    off_t at;
    size_t length;
    double since;
    int done;
    pthread_cond_t served;
    struct request *next;
};

static int image;
static off_t size;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static struct request *queue; /* the oldest first */
static off_t head;
static unsigned long requests, seeks, bytes;
static double busy;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void sleep_until(double end) {
    struct timespec until = {(time_t)end, (long)((end - (time_t)end) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int is_ahead(off_t at) { return at >= head && at - head <= TURNED_OVER; }

/* How soon it is reached, without the turn that a seek waits for. */
static double reached_in(off_t at) {
    return is_ahead(at) ? (at - head) / BYTES_PER_SECOND : SEEK_LEAST + SEEK_MORE * sqrt(fabs((double)(at - head)) / WAY_WHOLE);
}

static double expected(off_t at) { return reached_in(at) + (is_ahead(at) ? 0 : TURN / 2); }

/* The request that is served next; the queue is not empty. */
static struct request *take(double time) {
    struct request **best = &queue;
    if (time - queue->since < WAITS_MOST) {
        int number = 0;
        for (struct request **each = &queue; *each && number < QUEUE; each = &(*each)->next, number++)
            if (expected((*each)->at) < expected((*best)->at)) best = each;
    }
    struct request *taken = *best;
    *best = taken->next;
    return taken;
}

static void *turn(void *unused) {
    unsigned seed = 1;
    double end = 0; /* of the last one: that the sleeping took too long is made up for, as far as somebody had asked by then */
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!queue) pthread_cond_wait(&asked, &lock);
        struct request *taken = take(now());
        if (end < taken->since) end = taken->since;
        double takes = reached_in(taken->at) + taken->length / BYTES_PER_SECOND;
        if (!is_ahead(taken->at)) {
            takes += TURN * rand_r(&seed) / RAND_MAX;
            seeks++;
        }
        head = taken->at + taken->length;
        requests++, bytes += taken->length, busy += takes, end += takes;
        pthread_mutex_unlock(&lock);
        sleep_until(end);
        pthread_mutex_lock(&lock);
        taken->done = 1;
        pthread_cond_signal(&taken->served);
    }
    return unused;
}

static void wait_for(off_t at, size_t length) {
    struct request own = {.at = at, .length = length, .since = now(), .served = PTHREAD_COND_INITIALIZER};
    pthread_mutex_lock(&lock);
    struct request **last = &queue;
    while (*last) last = &(*last)->next;
    *last = &own;
    pthread_cond_signal(&asked);
    while (!own.done) pthread_cond_wait(&own.served, &lock);
    pthread_mutex_unlock(&lock);
}

static int is_told(const char *path) { return !strcmp(path, "/told"); }

static int look(const char *path, struct stat *stat, struct fuse_file_info *file) {
    memset(stat, 0, sizeof *stat);
    int is_root = !strcmp(path, "/");
    if (!is_root && !is_told(path) && strcmp(path, "/disk")) return -ENOENT;
    stat->st_mode = is_root ? S_IFDIR | 0700 : S_IFREG | 0600;
    stat->st_nlink = 1;
    stat->st_size = is_root ? 0 : is_told(path) ? 4096 : size;
    return 0;
}

static int list(const char *path, void *to, fuse_fill_dir_t fill, off_t from, struct fuse_file_info *file, enum fuse_readdir_flags flags) {
    return fill(to, "disk", NULL, 0, 0) || fill(to, "told", NULL, 0, 0) ? -ENOMEM : 0;
}

static int open_file(const char *path, struct fuse_file_info *file) {
    file->direct_io = 1;
    return 0;
}

static int read_at(const char *path, char *to, size_t length, off_t at, struct fuse_file_info *file) {
    if (is_told(path)) {
        if (at) return 0;
        return snprintf(to, length, "{\"requests\": %lu, \"seeks\": %lu, \"mib\": %lu, \"busy\": %.2f}\n", requests, seeks, bytes >> 20, busy);
    }
    wait_for(at, length);
    ssize_t read = pread(image, to, length, at);
    return read < 0 ? -errno : read;
}

static int write_at(const char *path, const char *from, size_t length, off_t at, struct fuse_file_info *file) {
    if (is_told(path)) {
        requests = seeks = bytes = 0, busy = 0;
        return length;
    }
    wait_for(at, length);
    ssize_t written = pwrite(image, from, length, at);
    return written < 0 ? -errno : written;
}

static int cut(const char *path, off_t at, struct fuse_file_info *file) { return 0; }

static int sync_file(const char *path, int data, struct fuse_file_info *file) { return 0; }

static void *begin(struct fuse_conn_info *connection, struct fuse_config *config) {
    connection->max_background = 128;
    connection->congestion_threshold = 120;
    pthread_t arm;
    if (pthread_create(&arm, NULL, turn, NULL)) abort();
    return NULL;
}

int main(int count, char **words) {
    struct stat stat;
    if (count != 3 || (image = open(words[1], O_RDWR)) < 0 || fstat(image, &stat)) {
        fprintf(stderr, "spinning_disk IMAGE MOUNTPOINT\n");
        return 2;
    }
    size = stat.st_size;
    struct fuse_operations operations = {
        .getattr = look, .readdir = list, .open = open_file, .read = read_at, .write = write_at, .truncate = cut, .fsync = sync_file, .init = begin};
    char *arguments[] = {words[0], "-f", "-o", "max_threads=128,max_idle_threads=128", words[2], NULL};
    return fuse_main(5, arguments, &operations, NULL);
}

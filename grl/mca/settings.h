/* One setting of Open MPI's or PMIx's, read as those libraries read it (measured with Open
 * MPI 4.1.4 and PMIx 4.2.2): the environment counts before the files, an earlier file before a
 * later one, a later line of a file before an earlier one. A value is the rest of its line, quotes
 * and all. The files are the user's in the home directory and then the installation's, or those
 * that mca_base_param_files names, with commas between.
 *
 * For C, as ranks and slurmstepd use it. It reads regular files of at most 256 KiB with the rights
 * that its thread has; it never waits for a fifo. Any thread, if the look-up is. */
#ifndef GRL_MCA_SETTINGS_H
#define GRL_MCA_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A library's names: its variables' prefix, its folder in the home directory, its own folder. */
struct grl_mca_library {
    const char* prefix;     /* PMIX_MCA_ */
    const char* home_files; /* .pmix/mca-params.conf, below HOME */
    const char* own_file;   /* whole path */
};
extern const struct grl_mca_library grl_mca_pmix;
extern const struct grl_mca_library grl_mca_open_mpi;

/* A variable's value into `value`; false if there is none, or if it does not fit. */
typedef bool grl_mca_look(void* context, const char* name, char* value, size_t size);
/* A grl_mca_look of the process's own environment; `context` is not used. */
bool grl_mca_own_environment(void* context, const char* name, char* value, size_t size);

struct grl_mca_setting {
    char value[256]; /* cut short if it is longer */
    char where[512]; /* a variable's name, or a file's */
};

/* False: nobody has set it. */
bool grl_mca_find(const struct grl_mca_library* library, const char* name, grl_mca_look* look,
                  void* context, struct grl_mca_setting* found);

/* Does a list of components ("a,b", or "^a,b" for all but these) leave `component`? */
bool grl_mca_list_has(const char* list, const char* component);

/* Does a switch's value mean no? */
bool grl_mca_is_false(const char* value);

#ifdef __cplusplus
}
#endif

#endif

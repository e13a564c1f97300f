/* Where the other parts are installed, as configure was told. */
#ifndef GRL_SPANK_PATHS_H
#define GRL_SPANK_PATHS_H

#ifndef GRL_PKGLIBEXECDIR
#define GRL_PKGLIBEXECDIR "/usr/libexec/grl"
#endif
#ifndef GRL_PKGLIBDIR
#define GRL_PKGLIBDIR "/usr/lib/grl"
#endif
#ifndef GRL_LOGDIR
#define GRL_LOGDIR "/var/log/grl"
#endif

#define GRL_MASTER_PATH GRL_PKGLIBEXECDIR "/grl-master"
#define GRL_AGENT_PATH GRL_PKGLIBDIR "/libgrl_agent.so"
#define GRL_MPI_PATH GRL_PKGLIBDIR "/libgrl_mpi.so"
#define GRL_MASTER_LOG GRL_LOGDIR "/master.log"

#endif

! Messages and a one-sided put from Fortran; nothing here knows of GRL.
program mpi_ring
  use mpi
  use iso_fortran_env, only: int64
  implicit none
  integer :: rank, ranks, ierr, i, win, after, before, iterations
  integer(kind=mpi_address_kind) :: bytes
  integer(kind=mpi_address_kind), parameter :: origin = 0
  integer :: box(1), value(1), got(1), errors, wrong
  character(len=16) :: argument

  iterations = 50
  if (command_argument_count() > 0) then
    call get_command_argument(1, argument)
    read (argument, *) iterations
  end if
  call mpi_init(ierr)
  call mpi_comm_rank(mpi_comm_world, rank, ierr)
  call mpi_comm_size(mpi_comm_world, ranks, ierr)
  after = mod(rank + 1, ranks)
  before = mod(rank + ranks - 1, ranks)
  errors = 0
  bytes = 4
  call mpi_win_create(box, bytes, 4, mpi_info_null, mpi_comm_world, win, ierr)
  do i = 1, iterations
    value(1) = rank*10000 + i
    call mpi_win_fence(0, win, ierr)
    call mpi_put(value, 1, mpi_integer, after, origin, 1, mpi_integer, win, ierr)
    call mpi_win_fence(0, win, ierr)
    if (box(1) /= before*10000 + i) errors = errors + 1
    call mpi_sendrecv(value, 1, mpi_integer, after, 1, got, 1, mpi_integer, before, 1, &
                      mpi_comm_world, mpi_status_ignore, ierr)
    if (got(1) /= before*10000 + i) errors = errors + 1
    call sleep_a_little()
  end do
  call mpi_win_free(win, ierr)
  call mpi_allreduce(errors, wrong, 1, mpi_integer, mpi_sum, mpi_comm_world, ierr)
  if (rank == 0) print '(a,i0,a,i0)', 'errors ', wrong, ' iterations ', iterations
  call mpi_finalize(ierr)
  if (wrong /= 0) stop 1

contains

  subroutine sleep_a_little()
    integer(int64) :: now, until, rate
    call system_clock(now, rate)
    until = now + rate/50
    do while (now < until)
      call system_clock(now)
    end do
  end subroutine sleep_a_little
end program mpi_ring

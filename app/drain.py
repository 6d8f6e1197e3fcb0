"""The drain: the time between SIGTERM and the end, in which the service still serves but asks for no more."""

from ctypes import c_bool
from multiprocessing.sharedctypes import RawValue


class Drain:
    """Whether the drain has begun, in this process or, if `shared`, in all those that it is passed to."""

    def __init__(self, *, shared: bool = False) -> None:
        self._flag = RawValue(c_bool, False) if shared else c_bool(False)

    @property
    def has_begun(self) -> bool:
        return self._flag.value

    def begin(self) -> None:
        self._flag.value = True

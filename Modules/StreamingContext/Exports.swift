// One import is enough for a program: streams, RDDs and receivers come along.
@_exported public import BatchEngine
@_exported public import DStreamCore
@_exported public import ReceiverRuntime

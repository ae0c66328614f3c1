/// What becomes of what a stream has received, and no batch has finished with, when the program
/// crashes.
public enum InputProtection: Sendable, Hashable, CaseIterable {
    /// It was written to the disk before the receiver heard that it was stored, and is processed
    /// after a restart: cold standby. Needs a checkpoint directory.
    case writeAheadLog
    /// The source is asked for it again: only the receiver knows from where on.
    case replay
    /// It is lost.
    case ignore
    /// Nothing that was acknowledged is lost with a worker: hot standby.
    ///
    /// The receiver runs in a worker process, and hears that a block was stored when another
    /// process, the driver, has it. It is lost with the driver: use ``writeAheadLog``, with
    /// `placement: .worker`, against both. Needs an engine that has more than one process.
    case replicated
}

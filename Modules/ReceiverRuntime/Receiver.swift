public import BatchEngine

/// Brings elements from the outside into a stream.
///
/// ```swift
/// struct Sensor: Receiver {
///     func run(_ output: ReceiverOutput<Double>) async throws {
///         for try await value in measurements() { try await output.store(value) }
///     }
/// }
/// ```
///
/// ## Life
/// `run` is all there is: it opens what it needs, stores what comes, and closes everything when it
/// leaves. When it returns, the receiver has stopped by itself and is started again after the
/// restart delay; when it throws, likewise, and the error is reported. It runs as often as it is
/// started, so what must survive a restart is kept in the receiver.
///
/// ## Cancellation
/// Stopping a receiver cancels the task of `run`, and ``ReceiverOutput/isStopped`` becomes true. It
/// must return soon then; what it stores on the way out is kept. One that does not return is left
/// behind at the deadline of the stop, on its thread, and named in the report.
///
/// ## Isolation
/// Only one `run` of a receiver is under way at a time. It has a thread of its own, so it may block:
/// a loop around a call of a blocking library works as it is. Tasks that `run` makes as children
/// share the thread, and so wait while one of them blocks it. See ``mayBlock``.
///
/// `checkReceiver` of DStreamTestKit checks a receiver of your own.
public protocol Receiver<Element>: Sendable {
    /// What is received.
    associatedtype Element: Sendable

    /// Receives until there is no more, something fails, or the task is cancelled.
    func run(_ output: ReceiverOutput<Element>) async throws

    /// The name in events and user interfaces; the type's by default.
    var name: String { get }

    /// Where received blocks are kept; objects in memory by default.
    var storageLevel: StorageLevel { get }

    /// The machine on which to run; ignored by engines of one machine.
    var preferredLocation: String? { get }

    /// Whether `run` may block its thread, and so has one of its own; true by default.
    ///
    /// At most ``ReceiverConfiguration/maxReceiverThreads`` receivers have one. Where many more are
    /// needed, those that only ever suspend say false and share the threads of all tasks: there, one
    /// that blocks after all holds up batches and the stop.
    var mayBlock: Bool { get }
}

extension Receiver {
    /// The name of the type, without generic arguments.
    public var name: String {
        String("\(Self.self)".prefix { $0 != "<" })
    }

    /// Objects in memory.
    public var storageLevel: StorageLevel { .memoryOnly }

    /// None.
    public var preferredLocation: String? { nil }

    /// It may.
    public var mayBlock: Bool { true }
}

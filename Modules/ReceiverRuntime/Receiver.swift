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
/// Stopping a receiver cancels the task of `run`. It must return soon then; what it stores on the
/// way out is kept.
///
/// ## Isolation
/// Only one `run` of a receiver is under way at a time. It must not block its thread.
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
}

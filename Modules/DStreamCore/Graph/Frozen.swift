internal import BatchEngine
internal import Synchronization

/// A value made once, when the graph is frozen, and read by every batch.
@usableFromInline
package final class Frozen<Value: Sendable>: Sendable {
    private let state = Locked<Value?>(nil)

    @usableFromInline
    package init() {}

    /// Sets the value.
    @usableFromInline
    package func set(_ value: Value) { state.withLock { $0 = value } }

    /// The value.
    ///
    /// - Precondition: the graph is frozen.
    @usableFromInline
    package var value: Value {
        guard let value = state.withLock({ $0 }) else {
            preconditionFailure("a stream was asked for a batch before its graph was frozen")
        }
        return value
    }
}

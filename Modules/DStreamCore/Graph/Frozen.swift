public import BatchEngine
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

/// The chain up to an operator: made anew for who asks before the graph is frozen, made once then.
///
/// Operators are frozen in the order of their declaration. So each chain is put on those before it,
/// in one step, however deep the graph is and however many ways lead through it.
@usableFromInline
final class FrozenPipe<Element: Sendable>: Sendable {
    private let make: @Sendable () -> Pipe<Element>
    private let made = Locked<Pipe<Element>?>(nil)

    @usableFromInline
    init(_ make: @escaping @Sendable () -> Pipe<Element>) { self.make = make }

    @usableFromInline var value: Pipe<Element> { made.withLock { $0 } ?? make() }

    /// Makes the chain; returns how many operators are nested in it.
    @usableFromInline
    func freeze() -> Int {
        let pipe = make()
        made.withLock { $0 = pipe }
        return pipe.depth
    }
}

internal import Synchronization

/// A read-only value made once by the driver and used by every task.
public struct Broadcast<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value

    init(_ value: Value) { self.value = value }
}

/// A sum that tasks add to and the driver reads.
///
/// Additions made inside a task count once, when the task succeeds, however often it was tried.
/// Additions made elsewhere count at once.
public final class Accumulator<Value: Sendable>: Sendable {
    private let total: Mutex<Value>
    private let combine: @Sendable (Value, Value) -> Value

    /// Makes an accumulator.
    ///
    /// - Parameter combine: associative and commutative: tasks add in any order.
    public init(_ zero: Value, _ combine: @escaping @Sendable (Value, Value) -> Value) {
        total = Mutex(zero)
        self.combine = combine
    }

    /// Adds `amount`.
    public func add(_ amount: Value) {
        guard let task = TaskContext.current else { return apply(amount) }
        task.deferUpdate { self.apply(amount) }
    }

    /// The sum of what has counted so far.
    public var value: Value { total.withLock { $0 } }

    private func apply(_ amount: Value) {
        total.withLock { $0 = combine($0, amount) }
    }
}

extension Accumulator where Value: AdditiveArithmetic {
    /// Makes an accumulator that adds, starting at zero.
    public convenience init() { self.init(.zero) { $0 + $1 } }
}

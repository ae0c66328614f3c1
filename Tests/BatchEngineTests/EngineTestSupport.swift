import Synchronization

import BatchEngine

/// An error that a user closure throws.
struct Boom: Error, Equatable {
    var number = 0
}

/// A count that closures on any thread raise.
final class Counter: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .sequentiallyConsistent) }

    @discardableResult
    func next() -> Int { count.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }
}

/// A door at which threads block until it is opened; tests wait for them to arrive.
final class Door: Sendable {
    private struct State {
        var arrived = 0
        var isOpen = false
    }

    private let state = Monitor(State())

    /// Blocks the calling thread until the door is opened.
    func pass() {
        state.withLock { $0.arrived += 1 }
        state.broadcast()
        state.wait { $0.isOpen ? () : nil }
    }

    func open() {
        state.withLock { $0.isOpen = true }
        state.broadcast()
    }

    /// Suspends until so many threads have arrived.
    func arrivals(_ count: Int) async throws {
        try await BlockingThreads.shared.run { [state] in
            state.wait { $0.arrived >= count ? () : nil }
        }
    }
}

/// A place where threads block until all have come.
final class Rendezvous: Sendable {
    private let arrived = Monitor(0)
    private let expected: Int

    init(_ expected: Int) { self.expected = expected }

    func meet() {
        arrived.withLock { $0 += 1 }
        arrived.broadcast()
        arrived.wait { [expected] in $0 >= expected ? () : nil }
    }
}

extension BatchContext {
    /// A context on a local engine that uses its threads for the smallest stage.
    static func parallel(slots: Int = 2, maxTaskFailures: Int = 4) -> BatchContext {
        var configuration = LocalEngine.Configuration(slots: slots)
        configuration.inlineElementMaximum = 0
        return BatchContext(
            engine: LocalEngine(configuration), maxTaskFailures: maxTaskFailures)
    }

    /// A context on a local engine as users get it.
    static func local(slots: Int = 2, store: any BlockStore = MemoryBlockStore()) -> BatchContext {
        BatchContext(
            engine: LocalEngine(LocalEngine.Configuration(slots: slots), blockStore: store))
    }
}

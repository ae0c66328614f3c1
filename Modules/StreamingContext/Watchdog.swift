internal import BatchEngine
internal import Synchronization

/// Looks once a second whether the control planes of this process move, on a thread of its own: the
/// one that all tasks share may be what is stuck.
final class Watchdog: Sendable {
    static let shared = Watchdog()

    private struct State {
        var watches: [ObjectIdentifier: ControlWatch] = [:]
        var isRunning = false
    }

    private let monitor = Monitor(State())

    /// Looks at a watch until it is removed.
    ///
    /// - Throws: `SystemError` when the system starts no more threads; nobody looks then.
    func add(_ watch: ControlWatch) throws(SystemError) {
        try monitor.withLock { state throws(SystemError) in
            if !state.isRunning {
                try SystemThread.start(name: "watchdog") { self.work() }
                state.isRunning = true
            }
            state.watches[ObjectIdentifier(watch)] = watch
        }
        monitor.signal()
    }

    /// Looks at a watch no more.
    func remove(_ watch: ControlWatch) {
        monitor.withLock { $0.watches[ObjectIdentifier(watch)] = nil }
    }

    private func work() {
        while true {
            lookAtAll()
            SystemThread.pause(microseconds: 1_000_000)
        }
    }

    /// Waits until there is something to look at; what is removed later is not held meanwhile.
    private func lookAtAll() {
        let watches: [ControlWatch] = monitor.wait { state in
            state.watches.isEmpty ? nil : Array(state.watches.values)
        }
        for watch in watches { watch.look() }
    }
}

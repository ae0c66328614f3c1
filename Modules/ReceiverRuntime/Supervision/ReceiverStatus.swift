internal import BatchEngine
internal import DStreamCore
internal import Synchronization

/// What is known of a receiver, and how listeners hear of it.
///
/// ## Ordering
/// Events of one receiver are posted in the order in which its state changed.
final class ReceiverStatus: Sendable {
    private struct State {
        var isActive = false
        var lastErrorMessage: String?
        var lastError: String?
        var lastErrorTime: BatchTime?
    }

    let streamID: StreamID
    let name: String
    /// Where the receiver runs: `driver` or `worker`.
    private let executorID: String
    private let clock: any StreamClock
    private let bus: ListenerBus
    private let state = Locked(State())

    init(
        streamID: StreamID, name: String, executorID: String = "driver", clock: any StreamClock,
        bus: ListenerBus
    ) {
        self.streamID = streamID
        self.name = name
        self.executorID = executorID
        self.clock = clock
        self.bus = bus
    }

    var info: ReceiverInfo { state.withLock { info($0) } }

    func post(_ event: StreamEvent) { bus.post(event) }

    func started() {
        let info = change { $0 = State(isActive: true) }
        bus.post(.receiverStarted(info))
    }

    func reportError(_ message: String, _ error: (any Error)?) {
        let info = change { note(message, error, in: &$0) }
        bus.post(.receiverError(info))
    }

    @discardableResult
    func stopped(_ message: String, _ error: (any Error)?) -> ReceiverInfo {
        let info = change { state in
            state.isActive = false
            note(message, error, in: &state)
        }
        bus.post(.receiverStopped(info))
        return info
    }

    private func note(_ message: String, _ error: (any Error)?, in state: inout State) {
        state.lastErrorMessage = message
        state.lastError = error.map { "\($0)" }
        state.lastErrorTime = clock.now
    }

    private func change(_ body: (inout State) -> Void) -> ReceiverInfo {
        state.withLock { state in
            body(&state)
            return info(state)
        }
    }

    private func info(_ state: State) -> ReceiverInfo {
        ReceiverInfo(
            streamID: streamID, name: "\(name)-\(streamID)", isActive: state.isActive,
            location: "localhost", executorID: executorID,
            lastErrorMessage: state.lastErrorMessage, lastError: state.lastError,
            lastErrorTime: state.lastErrorTime)
    }
}

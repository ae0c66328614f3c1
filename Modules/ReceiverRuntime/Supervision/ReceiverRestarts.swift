internal import BatchEngine
internal import DStreamCore

/// What a supervisor has been told.
struct SupervisorOrders: Sendable {
    var isStopping = false
    var drains = true
    var hasEnded = false

    /// Asks for the stop; once it is to drop what was received, it stays so.
    mutating func stop(drains newDrains: Bool) {
        drains = newDrains && (drains || !isStopping)
        isStopping = true
    }
}

/// Tells what became of a receiver, and when it is started again.
struct ReceiverRestarts: Sendable {
    let status: ReceiverStatus
    let clock: any StreamClock
    /// The configured wait.
    let delay: Duration
    let orders: AsyncMonitor<SupervisorOrders>

    /// Whether the receiver is to run.
    var isWanted: Bool { !orders.read({ $0.isStopping }) && !Task.isCancelled }

    /// Posts how a run ended and waits until the next one is due; false: there will be none.
    func follow(_ ending: ReceiverEnding) async -> Bool {
        let wait: Duration
        switch ending {
        case .stoppedByDriver:
            status.stopped("Stopped by driver", nil)
            return false
        case .restart(let message, let error, let asked):
            wait = asked ?? delay
            let text = "Restarting receiver with delay \(wait.milliseconds)ms: \(message)"
            status.post(.receiverRestarting(status.stopped(text, error), after: wait))
        case .stoppedItself(let message):
            wait = delay
            status.post(.receiverRestarting(status.stopped(message, nil), after: wait))
        }
        return await pause(for: wait) && isWanted
    }

    /// Sleeps; false: there will be no restart.
    private func pause(for delay: Duration) async -> Bool {
        let (clock, orders) = (clock, orders)
        do {
            try await firstOf {
                try await clock.sleep(for: delay)
            } or: {
                try await orders.wait(for: \.isStopping)
            }
        } catch {
            return false
        }
        return true
    }
}

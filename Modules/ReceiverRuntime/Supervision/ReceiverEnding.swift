internal import BatchEngine

/// What ended a run of a receiver.
package enum ReceiverEnding: Sendable {
    case stoppedByDriver
    /// Without a delay, the configured one.
    case restart(message: String, error: (any Error)?, delay: Duration?)
    case stoppedItself(message: String)
}

extension ReceiverControl {
    /// Runs a receiver until it ends, cancelling it once something is asked.
    func run<Source: Receiver>(
        _ receiver: Source, _ output: ReceiverOutput<Source.Element>
    ) async -> ReceiverEnding {
        let outcome = await outcome(of: receiver, output)
        if Task.isCancelled { return .stoppedByDriver }
        switch current {
        case .restart(let message, let error, let delay):
            return .restart(message: message, error: error, delay: delay)
        case .stop(let message): return .stoppedItself(message: message)
        case .stopByDriver: return .stoppedByDriver
        case nil: break
        }
        switch outcome {
        case .success: return .stoppedItself(message: "The receiver ended by itself")
        case .failure(let error):
            return .restart(message: "\(error)", error: error, delay: nil)
        }
    }

    private func outcome<Source: Receiver>(
        of receiver: Source, _ output: ReceiverOutput<Source.Element>
    ) async -> Result<Void, any Error> {
        var thread: SlotExecutor?
        if receiver.mayBlock {
            let own = SlotExecutor(name: "recv-\(receiver.name)", limit: 1, idleMaximum: 1)
            do { try own.prepare() } catch { return .failure(error) }
            thread = own
        }
        let body = AbandonableOutcome { try await receiver.run(output) }
        // Unstructured on purpose: one that ignores its cancellation could not be left otherwise.
        let task = Task(executorPreference: thread) { [thread] in
            await body.run()
            thread?.close()
        }
        note(
            Run(
                cancel: { task.cancel() },
                leave: {
                    body.finish(
                        .failure(ReceiverError(.stopped, "the receiver did not end in time")))
                }))
        defer { note(nil) }
        do {
            try await withTaskCancellationHandler {
                try await body.value()
            } onCancel: {
                task.cancel()
            }
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}

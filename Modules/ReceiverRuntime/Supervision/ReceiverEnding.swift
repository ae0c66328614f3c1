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
        await withTaskGroup(of: Result<Void, any Error>?.self) { group in
            group.addTask {
                do {
                    try await receiver.run(output)
                    return .success(())
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await self.wait()
                return nil
            }
            var outcome = Result<Void, any Error>.failure(CancellationError())
            for await ended in group {
                group.cancelAll()
                if let ended { outcome = ended }
            }
            return outcome
        }
    }
}

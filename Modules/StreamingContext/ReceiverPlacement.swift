internal import BatchEngine
internal import ReceiverRuntime
internal import Synchronization

/// In which process a receiver runs.
public enum ReceiverPlacement: Sendable, Hashable, CaseIterable {
    /// In the driver.
    case driver
    /// In a worker process of its own, where the engine has such: what ends it, a trap in its code
    /// included, leaves the stream alive, and the receiver is started in a fresh process.
    ///
    /// The elements need a codec. Engines without processes run the receiver in the driver.
    case worker
}

extension StreamingContext.Registration {
    /// Where the receiver runs: replicated blocks come from another process than the one that
    /// stores them.
    func placement(on engine: any ExecutionEngine) -> ReceiverPlacement {
        guard engine is any ServiceEngine else { return .driver }
        return placement ?? (protection == .replicated ? .worker : .driver)
    }

    /// The receiver as the driver runs it.
    func receiver(on engine: any ExecutionEngine) -> ReceiverRegistration {
        guard placement(on: engine) == .worker, let engine = engine as? any ServiceEngine else {
            return receiver
        }
        return receiver.inWorker(of: engine)
    }

    /// What is wrong with where the receiver runs.
    func placementProblem(on engine: any ExecutionEngine) -> StreamError? {
        if protection == .replicated, engine is any ServiceEngine, placement == .driver {
            return StreamError(
                .badDeclaration,
                "the stream is declared .replicated, and its receiver is placed in the driver, "
                    + "which is to be the other process; use placement: .worker",
                site: site)
        }
        guard placement(on: engine) == .worker, receiver.codec == nil else { return nil }
        return StreamError(
            .codecMissing,
            "the receiver runs in a worker process and \(receiver.elementName) has no codec; "
                + "declare the type StreamCodable", site: site)
    }
}

extension StreamingContext {
    /// The receivers that run in workers, as those know them.
    var receiverServices: [Int: WorkerService] {
        let engine = batchContext.engine
        let placed = registrations.withLock { $0 }.filter { $0.placement(on: engine) == .worker }
        var settings = configuration.receiver(batchInterval: batchInterval)
        // No batch asks them for what they have gathered.
        settings.cutGrace = .zero
        let clock = components.clock
        return Dictionary(
            uniqueKeysWithValues: placed.map {
                ($0.receiver.serviceNumber, $0.receiver.service(settings, clock))
            })
    }
}

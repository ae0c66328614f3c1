internal import BatchEngine
internal import DStreamCore
internal import Synchronization

/// One run of a receiver in a worker, whatever its elements are.
private struct WorkerRun: Sendable {
    let updateRate: @Sendable (Double) -> Void
    let stop: @Sendable () -> Void
    let perform: @Sendable () async -> Void
}

/// A receiver in its worker process: runs as often as the driver says, and sends what it receives.
struct WorkerReceiver<Source: Receiver>: Sendable {
    let receiver: Source
    let streamID: StreamID
    let configuration: ReceiverConfiguration
    let clock: any StreamClock

    /// Serves the driver until it ends the conversation.
    func serve(_ channel: any MessageChannel) async throws {
        let reports = ReceiverReports()
        try await reports.serve(channel) { rate in
            let run = try makeRun(reports)
            if let rate { run.updateRate(rate) }
            return run
        }
    }

    private func makeRun(_ reports: ReceiverReports) throws -> WorkerRun {
        let bus = ListenerBus()
        bus.add(reports)
        let status = ReceiverStatus(
            streamID: streamID, name: receiver.name, executorID: "worker", clock: clock, bus: bus)
        let numbering = BlockNumbering(streamID: streamID)
        let sink = BlockSink(
            streamID: streamID, numbering: numbering, handler: reports, reporter: reports,
            budget: reports.budget, clock: clock)
        let generator = try BlockGenerator(
            numbering: numbering, configuration: configuration, clock: clock,
            listener: StoringListener<Source.Element>(sink: sink, status: status),
            cutsOnPool: true)
        let control = ReceiverControl()
        let output = ReceiverOutput(
            configuration: configuration, generator: generator, sink: sink, control: control,
            status: status)
        return WorkerRun(
            updateRate: { generator.updateRate($0) },
            stop: {
                generator.liftRateLimit()
                control.ask(.stopByDriver)
            },
            perform: { [receiver] in
                await generator.start()
                let ending = await withTaskGroup(of: Void.self) { group in
                    group.addTask { await generator.run() }
                    let ending = await control.run(receiver, output)
                    await generator.stop()
                    return ending
                }
                reports.add(.ended(ending))
            })
    }
}

/// What a receiver in a worker sends to the driver, in order; one block at a time.
private final class ReceiverReports: ReceivedBlockHandler, ReceivedBlockReporting,
    StreamingListener
{
    private typealias Answer = CheckedContinuation<Void, any Error>

    private struct State {
        /// Blocks that wait for their answers; the first one was sent.
        var blocks: [(bytes: [UInt8], answer: Answer)] = []
        /// How many blocks were answered: the number of the next one.
        var answerCount: UInt64 = 0
        var hasEnded = false

        /// The message of the first block, with its number; nil: there is none.
        mutating func first() -> [UInt8]? {
            guard !blocks.isEmpty else { return nil }
            ReceiverReport.setNumber(answerCount, inBlock: &blocks[0].bytes)
            return blocks[0].bytes
        }
    }

    /// The most bytes of a message between worker and driver.
    private static let messageMaximum = 1 << 30
    /// Without a bound: the driver bounds what is stored, and nothing is kept here.
    let budget = ReceivedBlockBudget(limit: .max)
    private let state = Locked(State())
    private let outbox = AsyncMonitor<[[UInt8]]>([])

    /// Adds a report.
    func add(_ report: ReceiverReport) {
        // Only elements can be without a codec.
        guard let bytes = try? report.bytes() else { return }
        outbox.update { $0.append(bytes) }
    }

    /// Does what the driver says until it ends the conversation.
    ///
    /// - Parameter makeRun: makes a run of the receiver, at most at a rate.
    func serve(
        _ channel: any MessageChannel,
        _ makeRun: @escaping @Sendable (Double?) throws -> WorkerRun
    ) async throws {
        // What can be sent no more ends the service, and its process with it.
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await self.send(to: channel) }
            defer {
                end()
                group.cancelAll()
            }
            var current: WorkerRun?
            while let run = try await nextRun(channel, during: current, makeRun) {
                current = run
                group.addTask { await run.perform() }
            }
        }
    }

    /// Does what the driver says until it starts a run; nil: the task was cancelled.
    private func nextRun(
        _ channel: any MessageChannel, during current: WorkerRun?,
        _ makeRun: @Sendable (Double?) throws -> WorkerRun
    ) async throws -> WorkerRun? {
        while !Task.isCancelled {
            switch try ReceiverOrder(try await channel.receive()) {
            case .start(let rate): return try makeRun(rate)
            case .rate(let rate): current?.updateRate(rate)
            case .stop: current?.stop()
            case .stored(let number): try answer(number, nil)
            case .refused(let number, let reason):
                try answer(number, ReceiverError(.notStored, reason))
            }
        }
        return nil
    }

    /// Sends what is added, until the task is cancelled.
    private func send(to channel: any MessageChannel) async throws {
        while true {
            let messages: [[UInt8]] = try await outbox.wait { outbox in
                if outbox.isEmpty { return nil }
                defer { outbox = [] }
                return outbox
            }
            for message in messages { try await channel.send(message) }
        }
    }

    /// Sends a block and waits for the driver's answer, also when the task is cancelled: it comes,
    /// or the driver ends.
    func store(_ block: ReceivedBlock) async throws -> StoredBlock {
        defer { budget.release([block.id]) }
        let report = ReceiverReport.block(
            ReceiverReport.ReportedBlock(
                number: 0, contents: block.contents, recordCount: block.recordCount,
                metadata: block.metadata))
        // The elements may encode themselves.
        var bytes = try await UserThreads.run { try report.bytes() }
        guard bytes.count <= Self.messageMaximum else {
            throw ReceiverError(
                .notStored,
                "a block of \(bytes.count) bytes is too long to be sent to the driver, it may have "
                    + "\(Self.messageMaximum): store smaller blocks")
        }
        try await withCheckedThrowingContinuation { (answer: Answer) in
            let (hasEnded, message) = state.withLock { state -> (Bool, [UInt8]?) in
                if state.hasEnded { return (true, nil) }
                // Not held here as well: its number is written into it, which would copy it.
                state.blocks.append((exchange(&bytes, with: []), answer))
                return (false, state.blocks.count == 1 ? state.first() : nil)
            }
            if hasEnded { answer.resume(throwing: ReceiverError.notActive) }
            if let message { outbox.update { $0.append(message) } }
        }
        return StoredBlock(
            id: block.id, streamID: StreamID(0), recordCount: block.recordCount,
            byteCount: block.byteCount, metadata: block.metadata)
    }

    /// Notes the driver's answer to the block that was sent; nil: it is stored.
    ///
    /// - Throws: `CodecError` for an answer to another block, which would acknowledge this one.
    private func answer(_ number: UInt64, _ error: ReceiverError?) throws {
        let (answered, next) = try state.withLock { state in
            guard !state.blocks.isEmpty, number == state.answerCount else {
                throw CodecError(
                    .invalidValue,
                    "the driver answered block \(number) in place of \(state.answerCount)")
            }
            state.answerCount += 1
            return (state.blocks.removeFirst().answer, state.first())
        }
        if let next { outbox.update { $0.append(next) } }
        if let error { answered.resume(throwing: error) } else { answered.resume() }
    }

    /// The driver has gone: nothing is answered any more.
    private func end() {
        let blocks = state.withLock { state in
            state.hasEnded = true
            defer { state.blocks = [] }
            return state.blocks
        }
        for block in blocks { block.answer.resume(throwing: ReceiverError.notActive) }
    }

    /// The driver reports what it stores.
    func addBlock(_ block: StoredBlock) async throws {}

    /// The driver removes what it stores.
    func remove(_ blocks: [StoredBlock]) async {}

    func onEvent(_ event: StreamEvent) {
        switch event {
        case .receiverError(let info):
            add(.error(info.lastErrorMessage ?? "", cause: info.lastError))
        case .linesTruncated(_, let count): add(.linesTruncated(count))
        case .invalidUTF8Replaced(_, let count): add(.invalidUTF8Replaced(count))
        default: break
        }
    }
}

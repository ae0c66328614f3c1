public import BatchEngine
public import DStreamCore
internal import ReceiverRuntime
internal import Synchronization

extension StreamingContext {
    /// A stream that gives the same RDD to every batch.
    public func constantStream<Element: Sendable>(
        _ rdd: RDD<Element>, file: String = #fileID, line: UInt = #line
    ) -> DStream<Element> {
        let site = OperatorSite("constantStream", file: file, line: line)
        return graph.computedStream(site, givesOnce: false) { _, _, _ in rdd }
    }

    /// The records of a source that stay readable behind offsets: each batch takes what was added
    /// since the one before, noted durably where there is a checkpoint directory.
    ///
    /// A program that resumes from a checkpoint continues at the offsets where it was.
    ///
    /// - Parameters:
    ///   - maxRatePerPartition: the most records that a batch takes of a partition, per second of
    ///     the batch interval; nil: all there are.
    ///   - onDataLoss: what follows when records that were not read are gone.
    ///   - retry: how often the source is asked for its offsets before the batch fails; later
    ///     batches wait for that.
    public func directStream<Source: DirectSource>(
        _ source: Source, maxRatePerPartition: Int? = nil, onDataLoss: DataLossPolicy = .fail,
        retry: RetryPolicy = RetryPolicy(), file: String = #fileID, line: UInt = #line
    ) -> DirectDStream<Source.Element> {
        let site = OperatorSite("directStream", file: file, line: line)
        if let rate = maxRatePerPartition, rate < 1 {
            graph.record(
                StreamError(
                    .badDeclaration, "maxRatePerPartition is \(rate); it must be at least 1",
                    site: site))
        }
        let maximum = maxRatePerPartition.map { rate in
            let (product, isBeyond) = max(1, batchInterval.milliseconds)
                .multipliedReportingOverflow(by: Int64(rate))
            return isBeyond ? Int.max : max(1, Int(product / 1000))
        }
        return graph.directStream(
            source, maximumPerPartition: maximum, onDataLoss: onDataLoss, retry: retry,
            clock: components.clock, report: { [listeners] in listeners.post($0) }, site)
    }

    /// The lines of the program's standard input, as UTF-8: `\n`, `\r\n` and `\r` end a line.
    ///
    /// After the end of the input the stream goes on without further elements. Streams that read
    /// the standard input share its lines: each goes to one of them.
    ///
    /// - Parameters:
    ///   - storageLevel: where received blocks are kept.
    ///   - maxLineBytes: the longest line in bytes, at least 1.
    ///   - longLines: what happens to longer ones.
    ///   - protection: what becomes of received lines in a crash; nil: what
    ///     ``Configuration-swift.struct/receiverWriteAheadLog`` says.
    public func standardInputStream(
        storageLevel: StorageLevel = .memoryOnly, maxLineBytes: Int = 1 << 20,
        longLines: LineSplitter.LongLinePolicy = .truncate, protection: InputProtection? = nil,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<String> {
        lineStream(
            descriptor: nil, storageLevel: storageLevel, maxLineBytes: maxLineBytes,
            longLines: longLines, protection: protection,
            OperatorSite("standardInputStream", file: file, line: line))
    }

    /// The lines that come from an open descriptor; nil: the standard input.
    package func lineStream(
        descriptor: Int32?, storageLevel: StorageLevel, maxLineBytes: Int,
        longLines: LineSplitter.LongLinePolicy, thread: IOThread? = nil,
        protection: InputProtection? = nil, _ site: OperatorSite
    ) -> DStream<String> {
        if maxLineBytes < 1 {
            graph.record(
                StreamError(
                    .badDeclaration, "maxLineBytes is \(maxLineBytes); it must be at least 1",
                    site: site))
        }
        let receiver = StandardInputReceiver(
            descriptor: descriptor, maxLineBytes: max(1, maxLineBytes), longLines: longLines,
            storageLevel: storageLevel, thread: thread ?? StandardInputReceiver.sharedThread)
        // A worker has another standard input.
        return register(receiver, protection, .driver, site)
    }
}

/// Receives the lines of the standard input.
struct StandardInputReceiver: Receiver {
    /// What is read instead of the standard input.
    let descriptor: Int32?
    let maxLineBytes: Int
    let longLines: LineSplitter.LongLinePolicy
    let storageLevel: StorageLevel
    /// Its reads block on a thread that is theirs.
    let mayBlock = false

    /// Where it reads.
    let thread: IOThread

    /// Reading blocks when another process has taken the bytes meanwhile: not where others wait.
    static let sharedThread = IOThread(name: "stdin")

    func run(_ output: ReceiverOutput<String>) async throws {
        try thread.prepare()
        try await withTaskExecutorPreference(thread) {
            let input = try descriptor.map { try StandardInput($0) } ?? StandardInput()
            defer { input.close() }
            var splitter = LineSplitter(maxLineBytes: maxLineBytes, longLines: longLines)
            var isAtEnd = false
            while !isAtEnd {
                try await input.waitReadable()
                let count = try splitter.append { room throws(SystemError) in
                    try input.read(into: room)
                }
                isAtEnd = count == 0
                if let lines = isAtEnd ? splitter.finish() : splitter.cut() {
                    try await output.store(lines: lines)
                }
                // Whatever comes: other streams are served in between, and a stop is noticed.
                await Task.yield()
                try Task.checkCancellation()
            }
            try await output.untilStopped()
        }
    }
}

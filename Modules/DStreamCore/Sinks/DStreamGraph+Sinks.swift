package import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// Notes a sink that an output operation writes to.
    @usableFromInline
    func addSink<Sink: TransactionalSink>(_ output: SinkOutput<Sink>) {
        // What is declared too late is reported by the output operation and never opened.
        guard phase == .declaring else { return }
        sinks.withLock { $0.append(output.declared) }
    }

    /// Sinks that two outputs write to: each would take the other's batches for its own.
    var sinkProblems: [StreamError] {
        var first: [String: OperatorSite] = [:]
        var problems: [StreamError] = []
        for sink in sinks.withLock({ $0 }) {
            if let other = first[sink.id] {
                problems.append(
                    StreamError(
                        .badDeclaration,
                        "the sink \(sink.id) is written to already, by \(other); give each output "
                            + "a name or a place of its own", site: sink.site))
            } else {
                first[sink.id] = sink.site
            }
        }
        return problems
    }

    /// Opens the sinks of a graph that was started, before its first batch.
    ///
    /// - Parameters:
    ///   - engine: whose threads for bodies they run on.
    ///   - record: the checkpoint that the run resumes from; nil: a sink that holds batches after
    ///     zero time belongs to another run.
    ///   - isReplay: whether no batch is to come: dead letters are replayed.
    /// - Returns: the newest batch that a sink holds.
    /// - Throws: ``StreamError`` `.sinkUnusable`, for all that cannot be used together.
    @discardableResult
    package func openSinks(
        on engine: any ExecutionEngine, from record: CheckpointRecord?, isReplay: Bool = false
    ) async throws -> NewestCommitted? {
        var problems: [StreamError] = []
        var newestOfAll: NewestCommitted?
        let resumption = record.map {
            SinkResumption(pending: Set($0.pendingBatches), newestBegun: $0.time)
        }
        for sink in sinks.withLock({ $0 }) {
            let newest = Locked<BatchTime?>(nil)
            do {
                try await engine.perform("\(sink.site), recovery of its sink") {
                    let found = try await sink.open(resumption, isReplay)
                    newest.withLock { $0 = found }
                }
            } catch {
                problems.append(
                    StreamError(
                        .sinkUnusable, "the sink cannot be used", site: sink.site,
                        underlying: error))
                continue
            }
            guard let newest = newest.withLock({ $0 }) else { continue }
            if newest > newestOfAll?.batch ?? BatchTime(milliseconds: .min) {
                newestOfAll = NewestCommitted(batch: newest, sink: sink.id)
            }
            if record == nil, !isReplay, newest > zeroTime ?? .zero {
                problems.append(
                    StreamError(
                        .sinkUnusable,
                        "the sink \(sink.id) holds batches up to \(newest) of an earlier run, and "
                            + "this run, which resumes from no checkpoint, begins before that; "
                            + "go on with StreamingContext.getOrCreate(checkpointDirectory:), or "
                            + "write to another place", site: sink.site))
            }
        }
        if let error = StreamError.gathering(problems) { throw error }
        return newestOfAll
    }

    /// The newest batch that any sink holds.
    package struct NewestCommitted: Sendable {
        package let batch: BatchTime
        package let sink: String
    }

    /// Lets go of the sinks.
    package func closeSinks() async {
        let declared = sinks.withLock { sinks in
            defer { sinks = [] }
            return sinks
        }
        for sink in declared { await UserThreads.run { await sink.close() } }
    }
}

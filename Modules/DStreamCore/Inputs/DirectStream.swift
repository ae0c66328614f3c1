package import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// The stream of the records of a source: one partition per range of offsets.
    ///
    /// - Parameters:
    ///   - maximum: the most records that a batch takes of a partition; nil: all.
    ///   - onDataLoss: what follows when records are gone.
    ///   - retry: how often the source is asked for its offsets.
    ///   - clock: what waits between these attempts.
    ///   - report: is notified of retries and of what is skipped.
    package func directStream<Source: DirectSource>(
        _ source: Source, maximumPerPartition maximum: Int?, onDataLoss: DataLossPolicy,
        retry: RetryPolicy, clock: any StreamClock,
        report: @escaping @Sendable (StreamEvent) -> Void, _ site: OperatorSite
    ) -> DirectDStream<Source.Element> {
        if let problem = retry.problem {
            record(
                StreamError(.badDeclaration, "the retry policy cannot work: \(problem)", site: site)
            )
        }
        let id = addInput()
        let input = DirectInput(
            DirectInput.Settings(
                maximum: maximum.map { Int64(max(0, $0)) }, onDataLoss: onDataLoss, retry: retry,
                clock: clock, report: report))
        var traits = StreamNode.Traits()
        traits.direct = input
        let stream = DStream<Source.Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { Self.reading(source, site) },
            compute: { node, batch, context in
                let ranges: [OffsetRange]
                do {
                    ranges = try await input.ranges(
                        from: source, of: id, at: batch, isBegun: node.mayChoose(for: batch),
                        remembering: node.rememberDuration ?? .zero, context)
                } catch let error where !(error is CancellationError) {
                    throw StreamError(
                        .generationFailed, "the offsets of batch \(batch) cannot be settled",
                        site: site, batchTime: batch, underlying: error)
                }
                context.inputInfo.report(
                    StreamInputInfo(
                        inputStreamID: id,
                        recordCount: ranges.reduce(0) { $0 + $1.boundedCount },
                        metadata: [
                            StreamInputInfo.descriptionKey:
                                ranges.map(\.description).joined(separator: "\n")
                        ]), at: batch)
                return .source(ranges.map { [.values(RangeSlice($0))] })
            })
        stream.node.setCapture(input.capture)
        return DirectDStream(stream: stream, input: input)
    }

    private static func reading<Source: DirectSource>(
        _ source: Source, _ site: OperatorSite
    ) -> Pipe<Source.Element> {
        Pipe { context, inputs, sink in
            for input in inputs {
                guard let range = try RangeSlice.range(input) else {
                    throw EngineError(.invalidPlan, "no range of offsets", site: site)
                }
                // What was thrown behind this operator, and is not the source's fault.
                var passed: (any Error)?
                do {
                    try source.read(range) { element in
                        do {
                            try context.checkCancellation()
                            try sink(element)
                        } catch {
                            passed = error
                            throw error
                        }
                    }
                } catch  where passed == nil {
                    throw StreamError(
                        .offsetsUnreadable, "\(range) cannot be read", site: site,
                        underlying: error)
                } catch {}
                if let passed { throw passed }
            }
        }
    }
}

/// A stream that reads ranges of offsets, and which ranges its batches have.
public struct DirectDStream<Element: Sendable>: Sendable {
    /// The elements.
    public let stream: DStream<Element>
    let input: DirectInput

    /// The ranges of a batch, one per partition of its RDD and in their order; empty when the batch
    /// is not remembered.
    ///
    /// For programs that keep offsets together with their results.
    public func offsetRanges(of batch: BatchTime) -> [OffsetRange] { input.remembered(at: batch) }
}

extension OffsetRange {
    /// The count, as far as sums over partitions and streams stay countable: offsets may be times.
    fileprivate var boundedCount: Int { min(count, 1 << 40) }
}

/// A range to be read by one task.
private final class RangeSlice: InputPart {
    let range: OffsetRange
    var name: String { range.description }

    init(_ range: OffsetRange) { self.range = range }

    var count: Int { range.boundedCount }
    var byteCount: Int { MemoryLayout<OffsetRange>.size }

    func encoded() throws -> EncodedValues {
        EncodedValues(bytes: try Codec<OffsetRange>.of().bytes(of: range), count: count)
    }

    /// The range of a task's input; nil when it is none.
    static func range(_ input: PartitionData) throws -> OffsetRange? {
        switch input {
        case .values(let values): return (values as? RangeSlice)?.range
        case .encoded(let encoded): return try Codec<OffsetRange>.of().value(of: encoded.bytes)
        default: return nil
        }
    }
}

package import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// The stream of the records of a source: one partition per range of offsets.
    ///
    /// - Parameter maximum: the most records that a batch takes of a partition; nil: all.
    package func directStream<Source: DirectSource>(
        _ source: Source, maximumPerPartition maximum: Int?, _ site: OperatorSite
    ) -> DirectDStream<Source.Element> {
        let id = addInput()
        let input = DirectInput(maximum: maximum)
        var traits = StreamNode.Traits()
        traits.isDirect = true
        let stream = DStream<Source.Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { Self.reading(source, site) },
            compute: { node, batch, context in
                let ranges: [OffsetRange]
                do {
                    ranges = try await input.ranges(
                        from: source, of: id, at: batch,
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
                do {
                    try source.read(range) { element in
                        try context.checkCancellation()
                        try sink(element)
                    }
                } catch {
                    throw OperatorFailure.wrap(error, at: site)
                }
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
private final class RangeSlice: PartitionValues {
    let range: OffsetRange

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

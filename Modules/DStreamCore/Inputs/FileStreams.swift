package import BatchEngine
internal import Synchronization

extension DStreamGraph {
    /// How the files of a stream are read.
    package struct FileFormat<Element: Sendable>: Sendable {
        let pipe: @Sendable (OperatorSite) -> Pipe<Element>
        /// How many elements a file of so many bytes holds; nil: only reading tells.
        let recordCount: (@Sendable (Int) -> Int)?
    }

    /// The stream of the files that appear in the directories of `input`: one partition per file.
    ///
    /// The files are chosen when a batch is generated, and read by its tasks.
    package func fileStream<Element: Sendable>(
        _ input: FileInput, _ format: FileFormat<Element>, _ site: OperatorSite
    ) -> DStream<Element> {
        let id = addInput()
        var traits = StreamNode.Traits()
        traits.files = input
        let stream = DStream<Element>(
            self, site, parents: [], slide: batchInterval, traits: traits,
            pipe: { format.pipe(site) },
            compute: { node, batch, context in
                let files = Locked<[FileSlice]>([])
                let isReadingOnly = context.inputInfo is NoInputReporting
                let remembered = node.rememberDuration ?? .zero
                // Directories can be slow, or hang: not on a thread that others need.
                try await context.batch.engine.perform("\(site), files of batch \(batch)") {
                    let found =
                        isReadingOnly
                        ? input.remembered(at: batch)
                        : input.files(at: batch, remembering: remembered)
                    files.withLock { $0 = found }
                }
                let chosen = files.withLock { $0 }
                let records = format.recordCount.map { count in
                    chosen.reduce(0) { $0 + count($1.byteCount) }
                }
                context.inputInfo.report(
                    StreamInputInfo(
                        inputStreamID: id, recordCount: records ?? 0,
                        metadata: [
                            StreamInputInfo.descriptionKey:
                                chosen.map(\.path).joined(separator: "\n")
                        ]), at: batch)
                return .source(chosen.map { [.values($0)] })
            })
        stream.node.setCapture(input.capture)
        return stream
    }

    /// The file streams: what the batches they remember have read.
    package var fileInputs: [FileInput] { nodes.compactMap(\.traits.files) }
}

extension DStreamGraph.FileFormat {
    /// Lines of UTF-8 text.
    package static func lines() -> Self where Element == String {
        Self(pipe: { FileReading.lines($0) }, recordCount: nil)
    }

    /// Lines of UTF-8 text, each behind the number of the byte where it begins.
    package static func offsetLines() -> Self where Element == (Int, String) {
        Self(pipe: { FileReading.offsetLines($0) }, recordCount: nil)
    }

    /// Records of `length` bytes, at least 1.
    package static func records(of length: Int) -> Self where Element == [UInt8] {
        let length = max(1, length)
        return Self(
            pipe: { FileReading.records(of: length, $0) }, recordCount: { $0 / length })
    }
}

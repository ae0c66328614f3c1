internal import BatchEngine
public import DStreamCore

extension StreamingContext {
    /// The lines of the text files that appear in a directory.
    ///
    /// Text is UTF-8; `\n`, `\r\n` and `\r` end a line, and bytes that are no UTF-8 are repaired.
    /// See ``fileStream(_:filter:newFilesOnly:file:line:)`` for which files are read, and when.
    public func textFileStream(
        _ directory: String, file: String = #fileID, line: UInt = #line
    ) -> DStream<String> {
        let site = OperatorSite("textFileStream", file: file, line: line)
        return files(in: directory, .lines(), site)
    }

    /// The lines of the text files that appear in a directory, each with the number of the byte in
    /// its file where it begins.
    ///
    /// A file is read by the first batch that is not before its modification time, provided that
    /// this lies after the declaration of the stream and no longer ago than the configuration's
    /// `fileStreamMinimumRemember`. Its path is not read again for as long, so files must appear
    /// complete: written elsewhere in the same file system, then renamed. Names that begin with `_`
    /// or `.` are never read. A directory that appears is read as one more file: those directly
    /// in it. A file that cannot be read fails its batch; files of other batches are not affected.
    ///
    /// - Parameters:
    ///   - directory: a path, in which `*`, `?`, `[a-z]` and `{one,other}` stand for many; it need
    ///     not exist yet.
    ///   - filter: which paths are read.
    ///   - newFilesOnly: whether files that were there before the declaration are passed over.
    public func fileStream(
        _ directory: String, filter: @escaping @Sendable (String) -> Bool = { _ in true },
        newFilesOnly: Bool = true, file: String = #fileID, line: UInt = #line
    ) -> DStream<(Int, String)> {
        let site = OperatorSite("fileStream", file: file, line: line)
        return files(
            in: directory, filter: filter, newFilesOnly: newFilesOnly, .offsetLines(), site)
    }

    /// The records of the binary files that appear in a directory.
    ///
    /// See ``fileStream(_:filter:newFilesOnly:file:line:)`` for which files are read, and when.
    ///
    /// - Parameter recordLength: the bytes of each record, at least 1; a file whose length is no
    ///   multiple fails its batch.
    public func binaryRecordsStream(
        _ directory: String, recordLength: Int, file: String = #fileID, line: UInt = #line
    ) -> DStream<[UInt8]> {
        let site = OperatorSite("binaryRecordsStream", file: file, line: line)
        if recordLength < 1 {
            graph.record(
                StreamError(
                    .badDeclaration, "recordLength is \(recordLength); it must be at least 1",
                    site: site))
        }
        return files(in: directory, .records(of: recordLength), site)
    }

    private func files<Element: Sendable>(
        in directory: String, filter: @escaping @Sendable (String) -> Bool = { _ in true },
        newFilesOnly: Bool = true, _ format: DStreamGraph.FileFormat<Element>, _ site: OperatorSite
    ) -> DStream<Element> {
        let logger = components.logger
        let appName = appName
        do throws(PatternProblem) {
            let input = FileInput(
                FileInput.Configuration(
                    pattern: try DirectoryPattern(directory), filter: filter,
                    batchInterval: batchInterval,
                    minimumRemember: configuration.fileStreamMinimumRemember,
                    start: newFilesOnly ? components.clock.now : .zero,
                    warn: { logger.log(level: .warning, "\(appName): \(site): \($0)") }))
            return graph.fileStream(input, format, site)
        } catch {
            graph.record(
                StreamError(
                    .badDeclaration, "the directory cannot be watched: \(error)", site: site))
            return graph.inputStream(
                site.name, isReplayable: true, file: site.file, line: site.line
            ) { _, _ in nil }
        }
    }
}

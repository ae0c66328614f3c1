public import BatchEngine

extension DStream {
    /// Writes each batch as text files into a directory `prefix-TIME.suffix`: an output operation.
    ///
    /// The directory has one file per partition, `part-00000` and so on, with a line per element.
    /// Files appear complete, and `_SUCCESS` when all of them are there; a batch without RDD writes
    /// nothing. Running a batch again replaces its files, as
    /// ``BatchEngine/RDD/saveAsTextFile(_:file:line:)`` does.
    ///
    /// - Parameters:
    ///   - prefix: the path up to the time in milliseconds; directories above it are created.
    ///   - suffix: what follows the time after a dot; nothing if empty.
    @inlinable
    @discardableResult
    public func saveAsTextFiles(
        prefix: String, suffix: String = "", file: String = #fileID, line: UInt = #line
    ) -> OutputOperation {
        output(OperatorSite("saveAsTextFiles", file: file, line: line)) { rdd, time, _ in
            let name = OutputNaming.fileName(prefix: prefix, suffix: suffix, time: time)
            try await rdd.saveAsTextFile(name, file: file, line: line)
        }
    }

    /// Writes each batch in binary form into a directory `prefix-TIME.suffix`: an output operation.
    ///
    /// Files appear as those of ``saveAsTextFiles(prefix:suffix:file:line:)``;
    /// ``BatchEngine/BatchContext/objectFile(_:of:file:line:)`` reads a directory back. The element
    /// type needs a codec: see ``BatchEngine/StreamCodable``; `start()` throws for one without.
    ///
    /// - Parameters:
    ///   - prefix: the path up to the time in milliseconds; directories above it are created.
    ///   - suffix: what follows the time after a dot; nothing if empty.
    @inlinable
    @discardableResult
    public func saveAsObjectFiles(
        prefix: String, suffix: String = "", file: String = #fileID, line: UInt = #line
    ) -> OutputOperation {
        let site = OperatorSite("saveAsObjectFiles", file: file, line: line)
        if Codec<Element>.resolve() == nil {
            let type = Codec<Element>.firstTypeWithoutCodec() ?? Element.self
            graph.record(
                StreamError(
                    .codecMissing,
                    "saveAsObjectFiles turns elements into bytes and \(type) has no codec; declare "
                        + "the type StreamCodable", site: site))
        }
        return output(site) { rdd, time, _ in
            let name = OutputNaming.fileName(prefix: prefix, suffix: suffix, time: time)
            try await rdd.saveAsObjectFile(name, file: file, line: line)
        }
    }
}

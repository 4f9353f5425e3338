import t from 'tap'

import { givesKeys } from '../../../src/inject/aws-calls.ts'

const FORM = ['Content-Type', 'application/x-www-form-urlencoded; charset=utf-8']
const WHO = 'Action=GetCallerIdentity&Version=2011-06-15'

void t.test('what gives keys is known by whatever scope and protocol it is asked', (t) => {
  const gives = (
    service: string,
    target: string,
    body?: string,
    headers: readonly string[] = body === undefined ? [] : FORM,
  ): boolean => {
    const [path = '', query] = target.split('?')
    return givesKeys(
      service,
      { path, query, headers },
      body === undefined ? body : Buffer.from(body),
    )
  }
  t.notOk(gives('sts', '/', WHO))
  t.notOk(gives('sts', `/?${WHO}`))
  t.notOk(gives('ec2', '/?Action=DescribeInstances'))
  t.notOk(gives('s3', '/bucket/key'))
  t.ok(gives('iam', '/?a=1;action=%41ssumeRole'))
  t.ok(gives('s3', '/?ACTION=GetSessionToken'))
  t.ok(gives('iam', '/', 'Version=1&Action=CreateAccessKey'))
  t.ok(gives('s3', '/v20180820/accessgrantsinstance/data%61ccess?target=x'))
  t.ok(gives('sts', '/', `${WHO};x=1`))
  t.ok(gives('sts', '/', WHO, [...FORM, 'X_Amz_Target', 'a']))
  t.ok(gives('sts', '/', WHO, [...FORM, 'Content-Encoding', 'gzip']))
  t.ok(gives('sts', '/', WHO, ['Content-Type', 'application/json']))
  t.end()
})
